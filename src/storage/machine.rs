//! The memory that the system gives this process: that of the machine, or of the control group
//! (cgroup, version 1 or 2) that a container, a service manager or a user has put it into.

use std::path::{Component, Path, PathBuf};

/// Bytes of memory that the process may use: those of the machine or of its control group,
/// whichever are fewer. `None` where the system does not say.
pub(crate) fn memory_bytes() -> Option<u64> {
    memory_bytes_under(Path::new("/"))
}

/// The same, by the files under another root.
fn memory_bytes_under(root: &Path) -> Option<u64> {
    let machine = read(&root.join("proc/meminfo")).and_then(|text| {
        let kilobytes = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        let kilobytes = kilobytes.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?;
        kilobytes.checked_mul(1024)
    });
    let groups = read(&root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().filter_map(group_of).flat_map(|(mount, name, group)| {
        // A group is within its parents' limits. In a container the path may be one of the host,
        // and what the container sees of it lies at the root.
        group
            .ancestors()
            .filter_map(|group| limit(&root.join(mount).join(group).join(name)))
            .collect::<Vec<u64>>()
    });
    machine.into_iter().chain(limits).min()
}

/// Of a line of `/proc/self/cgroup`: where the groups are mounted, the name of the limit's file,
/// and the path of the group. `None` for groups that do not limit memory.
fn group_of(line: &str) -> Option<(&'static str, &'static str, PathBuf)> {
    let mut fields = line.splitn(3, ':');
    let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let (mount, name) = match (number, controllers) {
        ("0", "") => ("sys/fs/cgroup", "memory.max"),
        (_, controllers) if controllers.split(',').any(|one| one == "memory") => {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return None,
    };
    let components = Path::new(path).components();
    let own = components.filter(|part| matches!(part, Component::Normal(_)));
    Some((mount, name, own.collect()))
}

/// The limit in a file; "max", and numbers past any memory, are none.
fn limit(path: &Path) -> Option<u64> {
    let bytes = read(path)?.trim().parse::<u64>().ok()?;
    (bytes > 0).then_some(bytes)
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn machine(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        memory_bytes_under(root.path())
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:       2048 kB\nMemFree:  1 kB\n");

    #[test]
    fn the_machine_counts_where_no_group_limits() {
        assert_eq!(machine(&[]), None);
        assert_eq!(machine(&[MEMINFO]), Some(2 << 20));
        let group = ("proc/self/cgroup", "0::/a\n");
        assert_eq!(
            machine(&[MEMINFO, group, ("sys/fs/cgroup/a/memory.max", "max\n")]),
            Some(2 << 20)
        );
        assert_eq!(machine(&[MEMINFO, ("proc/self/cgroup", "garbage\n")]), Some(2 << 20));
    }

    #[test]
    fn the_least_limit_of_a_group_and_its_parents_counts() {
        let group = ("proc/self/cgroup", "0::/a/b\n");
        let own = ("sys/fs/cgroup/a/b/memory.max", "1000000\n");
        let parent = ("sys/fs/cgroup/a/memory.max", "900000\n");
        assert_eq!(machine(&[MEMINFO, group, own]), Some(1_000_000));
        assert_eq!(machine(&[MEMINFO, group, own, parent]), Some(900_000));
        // A container sees its own group at the root.
        let root = ("sys/fs/cgroup/memory.max", "800000");
        assert_eq!(machine(&[MEMINFO, group, own, parent, root]), Some(800_000));
        assert_eq!(machine(&[group, own]), Some(1_000_000));
    }

    #[test]
    fn groups_of_the_first_version_count_too() {
        let group = ("proc/self/cgroup", "5:cpu,memory:/a/b\n3:cpuset:/c\n0::/\n");
        let unlimited = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712");
        let parent = ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "500000");
        assert_eq!(machine(&[MEMINFO, group, unlimited]), Some(2 << 20));
        assert_eq!(machine(&[MEMINFO, group, unlimited, parent]), Some(500_000));
    }
}
