//! Files that others append to, as `tail -F` follows them: through rotation, by their names.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::encoding::Encoding;
use super::first_line::{Asks, Look};
use super::identity::FileId;
use super::status::Looked;
use super::tail::Tail;
use super::whole_file::plain;
use super::{BlockWriter, FirstLine, Received, Receiver};
use crate::config::{FOLLOWED_NAMES_KEPT_MAX, PAUSE_MAX, PAUSE_MIN, check_duration};
use crate::error::{Error, ErrorKind, Result};
use crate::record::saved::{push_bytes, push_varint, take_bytes, take_varint};

/// How often files are looked at: a system call or two for each, and the latency of a line.
const POLL_EVERY: Duration = Duration::from_millis(100);

/// How long a rotated file has to be quiet before it is left.
const ROTATED_QUIET: Duration = Duration::from_secs(5);

/// The form of positions, so that those of another one are not taken for it.
const POSITION_FORM: u64 = 3;

/// Reads what is appended to files, for ever.
///
/// A name is followed, through rotation: a file that loses the name is read to its end, then the
/// one that has it now from its start. A name may lead nowhere for a while, also at the start. A
/// line waits until its end is written, or its file is left or emptied.
///
/// A file is known by what it holds: by checksums of its first bytes and of those before the offset
/// up to which it was read. Device and inode are a hint only. With checkpoints all of this holds
/// across restarts:
///
/// | What happened | What is read |
/// | --- | --- |
/// | the file was appended to | what is new |
/// | it was renamed (`log.1`, or any name in its directory) | its rest, then the name's new file |
/// | its writer goes on with a renamed or deleted one | that, too, until it is [quiet] for 5 s |
/// | it was rotated more than once between two looks | also the files in between, as below |
/// | it was copied and emptied (`copytruncate`) | the rest of the copy, then the file anew |
/// | it was rotated and compressed | its rest from there |
/// | it was renamed to a name that is followed, too (`log*`) | its rest, once, under that one |
/// | it was emptied while its writer kept its offset | its lines; the hole of NUL bytes is not |
/// | it became shorter, or holds other bytes than were read | all of it, from its start |
/// | another file has its inode, and not what was read | not that one |
/// | the same bytes have another inode or device, as below | what comes after them |
/// | the name or its volume is missing or unreadable | its place is kept until it is there |
/// | the name is a link | the file that it leads to; rotated ones are looked for beside that file |
/// | it ends at a line that has no end, and is left | that line |
///
/// Files in between are found by their names, such as `log.1`, `log-20260131` and `app.1.log`, also
/// compressed, and are read the oldest first; where a number is missing, a warning says so. Another
/// inode or device is what `sed -i`, `rsync` and another mount give to the same bytes: it is the
/// same file where the old one is gone, or stands beside it under a name without a number or date
/// and is a backup, as by `sed -i.bak`: the file that has the name begins with all of it, and that
/// is 16 bytes or more, or the name ends in `.bak`, `~` or `.orig`.
///
/// [quiet]: Self::rotated_quiet
///
/// A file that gzip or Zstandard have compressed is unpacked and read once: nobody appends to it.
///
/// While a name leads to something that cannot be read, such as a directory, links in a circle or
/// a file without permission, or a file that is there cannot be read on, the source is
/// [`Retrying`](crate::SourceState::Retrying): its [metrics](crate::SourceMetrics) have the last
/// error, with the file's path, and [the number](crate::SourceCounts::paths_unreadable) of such
/// names, and [listeners](crate::StreamingListener) hear of it, and again when all names can be
/// followed. So it is while a name that had a file leads nowhere, once that has lasted for as long
/// as a rotated file has to be [quiet]: in a rotation names are without a file for a moment. A name
/// that had none so far is awaited, which is no trouble; until one of all of them has a file, the
/// source is [`Starting`](crate::SourceState::Starting). Why a file was given up that is
/// [not read to its end](crate::SourceCounts::files_unread) is the last error, too.
///
/// What is read again, passed over or given up is said once as a warning that names the file. Two
/// logs that begin with the same bytes are told apart once they differ: one that was removed before
/// more than those was read, and its successor, are taken for one.
///
/// ```no_run
/// use tidemill::Follow;
///
/// let follow = Follow::new(["/var/log/syslog"])?.from_end();
/// # Ok::<(), tidemill::Error>(())
/// ```
pub struct Follow {
    // Fixed.
    poll_every: Duration,
    rotated_quiet: Duration,
    // Changing.
    pub(super) tails: Vec<Tail>,
    poll_at: Instant,
    /// Who was read last.
    current: usize,
    /// Places of names that are not followed now, by name: they may be later.
    others: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Follow {
    /// Follows the files with these names, each from its start, and one that is named twice once.
    /// Those that do not exist yet are waited for.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Source`], with the path, if one is a directory or anything else that is no
    /// regular file.
    pub fn new<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Result<Follow> {
        let mut tails: Vec<Tail> = Vec::new();
        for path in paths {
            let path = plain(path.into());
            let tail = Tail::new(path).map_err(|(path, error)| {
                let message = format!("cannot follow {}", path.display());
                Error::caused(ErrorKind::Source, message, error)
            })?;
            if tails.iter().all(|other| !other.is_same_name(&tail)) {
                tails.push(tail);
            }
        }
        Ok(Follow {
            poll_every: POLL_EVERY,
            rotated_quiet: ROTATED_QUIET,
            tails,
            poll_at: Instant::now(),
            current: 0,
            others: Vec::new(),
        })
    }

    /// Skips what is in the files now. Files that come later are read from their starts.
    pub fn from_end(mut self) -> Follow {
        self.tails.iter_mut().for_each(Tail::skip_to_end);
        self
    }

    /// The first line of a file that may grow, as [`first_line`](Self::first_line) has it; `None`
    /// while its end is not written. Lines are added while `goes_on` says so of what there is.
    ///
    /// # Errors
    ///
    /// As of [`Files::first_line_of`](super::Files::first_line_of).
    pub fn first_line_of(
        path: impl AsRef<Path>,
        encoding: Encoding,
        goes_on: impl Fn(&str) -> bool,
    ) -> Result<Option<String>> {
        Look::at(path.as_ref(), encoding, true, goes_on)
    }

    /// Has the closure decide about each file by its path and first line, as that of
    /// [`Files::first_line`](super::Files::first_line); a line is waited for until its end is
    /// written. It is asked about files that come later, too, and about one that was emptied.
    #[must_use]
    pub fn first_line(
        mut self,
        ask: impl Fn(&Path, &str) -> FirstLine + Send + Sync + 'static,
    ) -> Follow {
        let asks = Asks::by(ask);
        self.tails.iter_mut().for_each(|tail| tail.asks = asks.clone());
        self
    }

    /// Looks at the files this often (default 100 ms, from 1 ms to 24 h). The stream is not made
    /// with another time.
    pub fn poll_every(mut self, interval: Duration) -> Follow {
        self.poll_every = interval;
        self
    }

    /// Reads a file that has lost its name until nothing was appended to it for so long (default
    /// 5 s): its writer may open the new one later than that is there.
    pub fn rotated_quiet(mut self, quiet: Duration) -> Follow {
        self.rotated_quiet = quiet;
        self
    }

    /// Sees to it that a file that was rotated from one name that is followed to another one, as by
    /// who follows `log*`, is read by one of them, after what was read of it.
    fn hand_over(&mut self) {
        if self.tails.len() == 1 || !self.tails.iter().any(Tail::has_new) {
            return;
        }
        for taker in 0..self.tails.len() {
            let Some(id) = self.tails[taker].new_current() else { continue };
            let others = (0..self.tails.len()).filter(|other| *other != taker);
            if let Some(file) = others.filter_map(|other| self.tails[other].let_go(id)).next() {
                self.tails[taker].take_over(file);
            }
        }
        let named: Vec<FileId> = self.tails.iter().filter_map(Tail::current_id).collect();
        for tail in &mut self.tails {
            tail.leave_to(&named);
            tail.settle();
        }
    }

    /// What the last look at all names has come to.
    fn looked(&self, now: Instant) -> Looked {
        let (mut trouble, mut others, mut awaited) = (None, 0, 0);
        for looked in self.tails.iter().map(|tail| tail.looked(now, self.rotated_quiet)) {
            match looked {
                Looked::Well => {}
                Looked::Awaited => awaited += 1,
                Looked::Trouble(_) if trouble.is_some() => others += 1,
                Looked::Trouble(message) => trouble = Some(message),
            }
        }
        match trouble {
            Some(message) if others > 0 => {
                Looked::Trouble(format!("{message} (and {others} more)"))
            }
            Some(message) => Looked::Trouble(message),
            None if awaited > 0 && awaited == self.tails.len() => Looked::Awaited,
            None => Looked::Well,
        }
    }
}

impl Receiver for Follow {
    fn check(&self) -> Result<()> {
        check_duration("poll_every", self.poll_every, PAUSE_MIN, PAUSE_MAX)
    }

    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        let now = Instant::now();
        if now >= self.poll_at {
            self.poll_at = now + self.poll_every;
            for tail in &mut self.tails {
                if into.is_full() {
                    // Looking may finish a line; the rest is for the next call.
                    self.poll_at = now;
                    return Ok(Received::More);
                }
                tail.look(now, self.rotated_quiet, into);
            }
            self.hand_over();
            into.status().looked(&self.looked(now));
            into.set_unreadable_paths(self.tails.iter().flat_map(Tail::unreadable));
        }
        let mut may_have_more = false;
        for _ in 0..self.tails.len() {
            if into.is_full() {
                return Ok(Received::More);
            }
            self.current = (self.current + 1) % self.tails.len();
            may_have_more |= self.tails[self.current].read(into);
        }
        Ok(match self.poll_at.checked_duration_since(Instant::now()) {
            Some(pause) if !may_have_more => Received::Later(pause),
            _ => Received::More,
        })
    }

    /// Of each name the files that are read, and how far each of them was.
    fn position(&self) -> Option<Vec<u8>> {
        let mut position = Vec::new();
        push_varint(POSITION_FORM, &mut position);
        for tail in &self.tails {
            push_bytes(tail.saved_name(), &mut position);
            let mut places = Vec::new();
            tail.save(&mut places);
            push_bytes(&places, &mut position);
        }
        for (name, places) in &self.others {
            push_bytes(name, &mut position);
            push_bytes(places, &mut position);
        }
        Some(position)
    }

    fn resume(&mut self, mut position: &[u8]) -> io::Result<()> {
        let position = &mut position;
        if take_varint(position).map_err(io::Error::other)? != POSITION_FORM {
            let message = "the checkpoint is of another version, which kept other places in files";
            return Err(io::Error::other(message));
        }
        while !position.is_empty() {
            let name = take_bytes(position).map_err(io::Error::other)?;
            let places = take_bytes(position).map_err(io::Error::other)?;
            match self.tails.iter_mut().find(|tail| tail.is_saved_as(name)) {
                Some(tail) => tail.resume(&mut &places[..]).map_err(io::Error::other)?,
                None if self.others.len() < FOLLOWED_NAMES_KEPT_MAX => {
                    let path = String::from_utf8_lossy(name);
                    tracing::info!(%path, "not followed any more: its place is kept");
                    self.others.push((name.to_vec(), places.to_vec()));
                }
                None => {
                    let path = String::from_utf8_lossy(name);
                    tracing::warn!(%path, "not followed any more: its place is given up");
                }
            }
        }
        Ok(())
    }

    fn saved_name(&self) -> String {
        "follow".to_owned()
    }

    fn name(&self) -> String {
        match self.tails.as_slice() {
            [] => "no files".to_owned(),
            [tail] => format!("follow {}", tail.path().display()),
            [first, others @ ..] => {
                format!("follow {} and {} more", first.path().display(), others.len())
            }
        }
    }
}
