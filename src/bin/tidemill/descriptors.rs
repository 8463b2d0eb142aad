//! The command's limit of open files: as many as it may have.

/// Raises the soft limit of open descriptors to the hard one. Most systems give a process 1024,
/// which is few for a server, and let it ask for more; where one refuses, it stays as it is.
#[cfg(unix)]
pub(crate) fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

#[cfg(not(unix))]
pub(crate) fn raise_limit() {}
