//! Whether a source receives, and what keeps it from doing so while it tries again.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Further attempts that fail are news no more often than this.
const NEWS_EVERY: Duration = Duration::from_secs(10);

/// How it stands with a source of lines.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceState {
    /// It has not reached yet what it reads, as a socket before its first connection, or files and
    /// directories that are awaited and of which none was there so far.
    #[default]
    Starting,
    /// It reads, or waits for more.
    Receiving,
    /// It cannot read now, or not all that it should, and tries again: a socket's server is not
    /// there, or what is followed cannot be read ([`Follow`](crate::Follow) and
    /// [`Directory`](crate::Directory) say when).
    Retrying,
    /// It has come to its end, or ended with an error.
    Ended,
}

/// A change that listeners hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Attempts have failed, for this reason.
    Trouble(String),
    Recovered,
}

/// What a look at files or a directory has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    /// All that is to be read can be.
    Well,
    /// Nothing is there yet, nor ever was.
    Awaited,
    /// Something cannot be read, for this reason.
    Trouble(String),
}

/// What a source says of itself, to be looked at by others.
#[derive(Debug, Default)]
pub(crate) struct Status {
    has_news: AtomicBool,
    now: Mutex<Now>,
}

#[derive(Debug, Default)]
struct Now {
    state: SourceState,
    is_connecting: bool,
    last_error: Option<String>,
    /// What cannot be read now, and is tried again.
    unreadable: Vec<PathBuf>,
    failures: u64,
    told: Option<Instant>,
    news: Option<News>,
}

impl Status {
    /// Nothing is reached yet, and it is no trouble so far.
    pub(crate) fn connecting(&self) {
        self.lock().is_connecting = true;
    }

    /// The source was read once, and had nothing to say against it.
    pub(crate) fn was_read(&self) {
        let mut now = self.lock();
        if now.state == SourceState::Starting && !now.is_connecting {
            now.state = SourceState::Receiving;
        }
    }

    /// An attempt has failed, and another one will be made. Returns whether that is news.
    pub(crate) fn trouble(&self, error: &str) -> bool {
        let mut now = self.lock();
        now.state = SourceState::Retrying;
        now.failures += 1;
        now.last_error = Some(error.to_owned());
        let is_news = now.told.is_none_or(|told| told.elapsed() >= NEWS_EVERY);
        if is_news {
            now.told = Some(Instant::now());
            now.news = Some(News::Trouble(error.to_owned()));
            self.has_news.store(true, Ordering::Relaxed);
        }
        is_news
    }

    /// It reads. Returns whether there was trouble before.
    pub(crate) fn recovered(&self) -> bool {
        let mut now = self.lock();
        let had_trouble = now.state == SourceState::Retrying;
        (now.state, now.is_connecting) = (SourceState::Receiving, false);
        if had_trouble {
            (now.failures, now.told) = (0, None);
            now.news = Some(News::Recovered);
            self.has_news.store(true, Ordering::Relaxed);
        }
        had_trouble
    }

    /// Trouble, recovery or none of them, as a look has found it.
    pub(crate) fn looked(&self, looked: &Looked) {
        match looked {
            Looked::Trouble(error) => {
                self.trouble(error);
            }
            // What was in the place of something that is awaited is gone.
            Looked::Awaited if self.now().0 == SourceState::Starting => self.connecting(),
            Looked::Awaited | Looked::Well => {
                self.recovered();
            }
        }
    }

    /// The source has ended with this error, or goes on in spite of it.
    pub(crate) fn failed(&self, error: String) {
        self.lock().last_error = Some(error);
    }

    /// These cannot be read now, and are tried again.
    pub(crate) fn set_unreadable(&self, paths: Vec<PathBuf>) {
        self.lock().unreadable = paths;
    }

    pub(crate) fn unreadable(&self) -> Vec<PathBuf> {
        self.lock().unreadable.clone()
    }

    /// What has changed since the last call, if that is to be told.
    pub(crate) fn take_news(&self) -> Option<News> {
        self.has_news.swap(false, Ordering::Relaxed).then(|| self.lock().news.take()).flatten()
    }

    /// The state, the last error, and attempts that failed since it last read.
    pub(crate) fn now(&self) -> (SourceState, Option<String>, u64) {
        let now = self.lock();
        (now.state, now.last_error.clone(), now.failures)
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
