//! Directories: files that come to one, each read once, in the batch of the time at which it came,
//! unless it is larger than what a batch takes.
//!
//! Invariant: a file that was picked is read to its end before the next one is begun, however many
//! batches that takes. Only what is larger than [`WHOLE_FILE_BYTES_MAX`], or than all blocks, and
//! what a rate forbids takes several.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::first_line::Asks;
use super::links::Links;
use super::listing::{Filter, Listing, is_hidden};
use super::open_file::{Place, is_passing};
use super::own_output::own_output;
use super::picks::{Fresh, Picks};
use super::read::Taken;
use super::status::Looked;
use super::whole_file::{WholeFile, plain};
use super::writer::Going;
use super::{BlockWriter, FirstLine, Received, Receiver};
use crate::config::{
    DIRECTORY_BATCH_BYTES, DIRECTORY_FILES_MAX, FILES_A_CALL_MAX, WAITS_FOR_ROOM_MAX,
    WHOLE_FILE_BYTES_MAX,
};
use crate::error::{Error, ErrorKind, Result};
use crate::record::saved::{push_bytes, push_varint, take_byte, take_bytes, take_varint, torn};
use crate::time::Time;

/// How long what a batch has left waits, if the next batch does not come before.
const LEFT: Duration = Duration::from_millis(1);

/// Reads the files that come to a directory, as Spark's file streams do.
///
/// At each batch time T the directory is looked at, without those in it unless it is to be read
/// [with them](Self::recursive), and a file is read if
///
/// * it passes the [filter](Self::filter): if its name does not begin with a dot;
/// * it was last modified after the stream was made, unless
///   [all files](Self::new_files_only) are wanted;
/// * it was last modified at T or before, and after T - 60 s, or what else is
///   [remembered](Self::remember);
/// * it was not read before.
///
/// So a file is to be written elsewhere, or under a name with a dot, and then moved in: what is
/// appended later is not read. A file with an old time that is moved in never is, and one that is
/// changed after its time has left the window is read again, as a new one.
///
/// A file is known by what it holds; its name and its numbers (device and inode) only say when to
/// look. Whatever is read again, skipped or given up is said once, by a warning with its path:
///
/// | what happened | what is done |
/// | --- | --- |
/// | another file has a name that was read, moved in or written anew | it is read |
/// | the same bytes were moved in again under a name that was read | not read |
/// | the same bytes and more were moved in under it | what is more is read |
/// | a file that was read has grown where it is | what is new in it is not read |
/// | a file was renamed in the directory, also where another one took its name | known again |
/// | a file was compressed where it is, and its time kept, or unpacked | known by what it holds |
/// | one that was being read was renamed | it goes on |
/// | two files with the same bytes are there at a time | both are read |
/// | a file is empty | it is read once there is something in it |
/// | the directory or its volume is away, or an empty one in its place | files are remembered |
/// | files are gone, the directory is there | they are remembered for a minute |
/// | a file's time is ahead: a clock was set, the machine slept | it waits two batches at most |
/// | a directory is in the directory | left out unless [`recursive`](Self::recursive) is wanted |
/// | a pipe, a socket or a device is in it | left out |
/// | the process's standard output or error goes into it | left out |
///
/// What [text files](crate::DStream::save_as_text_files) write into the directory are directories:
/// a recursive source reads them as it does others, so write them elsewhere.
///
/// A file's lines belong to the batch of the time at which it was picked, as Spark has it for all
/// files. So it is for those of up to 64 MiB, counted as they are unpacked. A larger one is read as
/// it comes, from batch to batch: no batch waits for it, a stop leaves the rest of it, and a
/// checkpoint has the place in it, so that a restart goes on there. What does not fit in the
/// [blocks](crate::Limits::blocks), where these are kept until the batch, and what a rate forbids
/// belongs to the next batches, too. Nothing is lost and nothing comes twice. A line never spans
/// two files; the last one of a file counts with or without its end.
///
/// A batch begins no more files once it has read for as long as its interval (10 s at most), or
/// 1 GiB for each second of that, or a stop is wanted. What was not begun by then belongs to the
/// next batch. A graceful stop reads on for a second, with checkpoints only what is small; then the
/// rest is left to the next start, and without checkpoints it is warned of.
///
/// A hole of NUL bytes in text is passed over and warned of, however long it is: a file system that
/// knows of holes is asked where they end, so that one of terabytes costs nothing. Records of fixed
/// length, streams of bytes, UTF-16 and UTF-32, and archives may hold NUL bytes: there they count.
///
/// Files that gzip or Zstandard have compressed are unpacked, as by [`Files`](super::Files).
///
/// A look costs what has changed: names are read when some came or went, and files are looked at
/// when they are new. As files can be changed in place, each is looked at every ten seconds, and
/// at each batch where there are no more than 256.
///
/// A file that cannot be read for now, as where the process has too many files open or a device
/// fails, is tried again after each look, from where it was, until it can be read or is gone. One
/// that cannot be read otherwise, or not to its end, or that grows after it was read, is
/// [counted](crate::SourceCounts::files_unread) and warned of. A directory that cannot be listed is
/// warned of and tried again at the next time: its window then reaches back to the last listing.
///
/// While the directory, or one below that is read, too, cannot be listed, or a file in it cannot be
/// looked at, as one at the end of links in a circle, the source is
/// [`Retrying`](crate::SourceState::Retrying): its [metrics](crate::SourceMetrics) have the last
/// error, with the path, and [listeners](crate::StreamingListener) hear of it, and again when all
/// can be read. A directory that is [awaited](Self::awaited) and was not there so far is no
/// trouble: the source is [`Starting`](crate::SourceState::Starting). Nor is a file that was given
/// up, which is not tried again; why it was is the last error, too.
///
/// In a checkpoint stands which files were picked, and how far they were read. So after a crash
/// each line of each file is in a state exactly once, and what came while nothing ran is read then.
/// A directory is known by its absolute path, as written: `in`, `./in/` and `$PWD/in` are one.
///
/// ```
/// use std::time::Duration;
/// use tidemill::Directory;
/// use tidemill::prelude::*;
///
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path();
/// let ssc = StreamingContext::builder("logs").build()?;
/// let logs = Directory::new(directory)?
///     .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
///     .new_files_only(false)
///     .remember(Duration::from_secs(3_600));
/// ssc.receiver_stream(logs)?.count().print(10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Directory {
    // Fixed.
    path: PathBuf,
    filter: Filter,
    // Changing.
    listing: Listing,
    picks: Picks,
    /// Files that were picked and not read to their ends, in their order; the first may be open.
    pending: VecDeque<Pending>,
    file: WholeFile,
    /// Files that are gone before they were read, and not counted yet, and what is to be said of
    /// the last of them.
    unread: usize,
    given_up: Option<String>,
    /// Whether the last look went well; no file is given up while the directory is away.
    is_there: bool,
    /// What is wrong with the directory, said once.
    trouble: Option<io::ErrorKind>,
    /// The directory was there when the stream was made.
    was_there: bool,
    /// What the last look has come to, and whether metrics are still to say so.
    looked: Looked,
    is_untold: bool,
    /// Something is there that cannot be read.
    is_unreadable: bool,
    /// Links that are not followed, as they were counted last.
    links_skipped: usize,
    /// Bytes that a batch takes, and those of them that this one may still take.
    batch_bytes: u64,
    bytes_left: u64,
    /// The next file waits until there are blocks for all of it, since so many batches.
    waits: usize,
    has_waited: bool,
}

struct Pending {
    number: u64,
    /// Where to go on in it, if it was begun before.
    place: Option<Place>,
    /// It was not there when its turn came, or could not be read: the next look says whether it was
    /// renamed, and it is tried again after that.
    is_missing: bool,
    /// It could not be read at the last try, which was said.
    is_failing: bool,
}

impl Directory {
    /// A source of the files that come to this directory from now on.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Source`], with the path, if it is no directory that can be listed.
    pub fn new(path: impl Into<PathBuf>) -> Result<Directory> {
        let mut directory = Directory::awaited(path);
        std::fs::read_dir(&directory.path).map_err(|error| {
            let message = format!("cannot list directory {}", directory.path.display());
            Error::caused(ErrorKind::Source, message, error)
        })?;
        (directory.was_there, directory.is_untold) = (true, false);
        directory.looked = Looked::Well;
        Ok(directory)
    }

    /// A source of the files that come to a directory that may not be there yet, as one on a volume
    /// that is mounted later: it waits for it, with a warning.
    pub fn awaited(path: impl Into<PathBuf>) -> Directory {
        let path = path.into();
        // Without the working directory it stays as it is.
        let path = plain(std::path::absolute(&path).unwrap_or(path));
        let directory = Directory {
            filter: Box::new(|path| !is_hidden(path)),
            listing: Listing::new(path.clone(), DIRECTORY_FILES_MAX),
            picks: Picks::new(path.clone(), own_output()),
            path,
            pending: VecDeque::new(),
            file: WholeFile::default(),
            unread: 0,
            given_up: None,
            is_there: true,
            trouble: None,
            was_there: false,
            looked: Looked::Awaited,
            is_untold: true,
            is_unreadable: false,
            links_skipped: 0,
            batch_bytes: DIRECTORY_BATCH_BYTES,
            bytes_left: DIRECTORY_BATCH_BYTES,
            waits: 0,
            has_waited: false,
        };
        directory.follow_links(false)
    }

    /// Whether the files in the directories below are read, too (default: false), but for those
    /// whose names begin with a dot. Each directory is read once, by however many links.
    pub fn recursive(mut self, is_recursive: bool) -> Directory {
        self.listing.is_recursive = is_recursive;
        self
    }

    /// Whether symbolic links in the directory are followed (default: false), to files and, where
    /// those below are read, to directories.
    ///
    /// Whoever may write to the directory could otherwise have a file read that they may not read
    /// themselves. A link that is not followed is told once and
    /// [counted](crate::SourceCounts::links_skipped), and one that takes the place of a file before
    /// it is opened is an unread file. The directory itself may be a link, and hard links are
    /// files.
    ///
    /// ```
    /// use tidemill::Directory;
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let directory = directory.path();
    /// let by_links = Directory::new(directory)?.follow_links(true);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn follow_links(mut self, are_followed: bool) -> Directory {
        let links = match are_followed {
            true => Links::Followed,
            false => Links::RefusedBelow(self.path.clone()),
        };
        self.listing.links = links.clone();
        self.picks.links = links.clone();
        self.file.links = links;
        self
    }

    /// Reads the files for whose paths the closure says so, in the place of those whose names do
    /// not begin with a dot.
    pub fn filter(mut self, filter: impl Fn(&Path) -> bool + Send + 'static) -> Directory {
        self.filter = Box::new(filter);
        self
    }

    /// Has the closure decide about each file by its path and first line, as that of
    /// [`Files::first_line`](super::Files::first_line).
    #[must_use]
    pub fn first_line(
        mut self,
        ask: impl Fn(&Path, &str) -> FirstLine + Send + Sync + 'static,
    ) -> Directory {
        self.file.asks = Asks::by(ask);
        self
    }

    /// Whether files that were last modified before the stream was made are left out (default:
    /// true).
    #[doc(alias = "newFilesOnly")]
    pub fn new_files_only(mut self, new_files_only: bool) -> Directory {
        self.picks.new_files_only = new_files_only;
        self
    }

    /// How long before a batch's time a file may have been modified last (default: 60 s), rounded
    /// up to whole intervals; with [`Duration::MAX`] at any time.
    ///
    /// The names of files that were read are remembered for so long, while they are there and for a
    /// minute after.
    #[doc(alias = "spark.streaming.fileStream.minRememberDuration")]
    pub fn remember(mut self, duration: Duration) -> Directory {
        self.picks.remember = duration;
        self
    }

    /// How many files may be in the directory, or remembered (default: 1 Mi), those below and their
    /// directories too where they are read; one more ends the source with an error.
    pub fn files_max(mut self, files: usize) -> Directory {
        (self.picks.files_max, self.listing.files_max) = (files, files);
        self
    }

    /// Picks what belongs to the batch of this time. Gives what keeps it from looking at all.
    fn pick(&mut self, time: Time) -> io::Result<Option<String>> {
        let news = self.listing.look(&self.filter)?;
        self.picks.check_max(self.listing.len())?;
        let mut waiting = self.picks.waiting();
        for (name, _) in &news.changed {
            waiting.remove(name);
        }
        let mut changed = news.changed;
        changed.extend(waiting.into_iter().filter_map(|name| {
            let hint = self.listing.look_again(&name)?;
            Some((name, hint))
        }));
        let place = self.file.place();
        let begun =
            self.pending.front().and_then(|file| Some((file.number, place.or(file.place)?)));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let has_gone = news.has_gone;
        let fresh = self.picks.pick(time, now, changed, has_gone, &self.listing, begun)?;
        self.unread += self.picks.take_grown();
        self.drop_gone();
        self.pending.extend(fresh.into_iter().map(|Fresh { number, place }| Pending {
            number,
            place,
            is_missing: false,
            is_failing: false,
        }));
        Ok(news.trouble)
    }

    /// Gives up those files that wait for their turn and are gone; the one that is open is not.
    fn drop_gone(&mut self) {
        let open = self.file.place().and(self.pending.front()).map(|file| file.number);
        let Directory { pending, picks, listing, unread, given_up, path, .. } = self;
        pending.retain_mut(|file| {
            file.is_missing = false;
            let Some(name) = picks.name(file.number) else { return false };
            if Some(file.number) == open || listing.contains(name) {
                return true;
            }
            let path = path.join(name);
            let path = path.display();
            tracing::warn!(%path, "a file is gone before it was read to its end");
            *given_up = Some(format!("{path} is gone before it was read to its end"));
            picks.done(file.number, None);
            *unread += 1;
            false
        });
    }

    /// Says how much of it all cannot be read for now.
    fn note_unreadable(&self, into: &mut BlockWriter) {
        let failing = self.pending.iter().filter(|file| file.is_failing);
        let failing = failing.filter_map(|file| self.picks.name(file.number));
        let failing = failing.map(|name| self.path.join(name)).chain(self.picks.unknown());
        let own = self.is_unreadable.then(|| self.path.clone());
        into.set_unreadable_paths(own.into_iter().chain(failing));
    }

    /// Whether the rest of what is pending is left to the next batch.
    fn leaves_rest(&mut self, next: u64, into: &BlockWriter) -> bool {
        let offset = self.file.offset();
        let is_enough = into.going() == Going::Due || self.bytes_left == 0;
        match offset {
            Some(offset) if offset <= WHOLE_FILE_BYTES_MAX => return false,
            // The rest is read between the batches, too.
            Some(_) if is_enough || into.going() == Going::Parts => return true,
            None if is_enough => return true,
            _ => {}
        }
        let is_begun = self.pending.front().is_some_and(|file| file.place.is_some());
        let is_begun = is_begun || offset.is_some();
        let Some((room, room_max)) = into.room().filter(|_| !is_begun) else { return false };
        let bytes = self.picks.byte_len(next);
        let waits = room < bytes && bytes <= room_max && self.waits < WAITS_FOR_ROOM_MAX;
        self.has_waited |= waits;
        if !waits {
            (self.waits, self.has_waited) = (0, false);
        }
        waits
    }

    /// Reads once from the first of the pending files.
    fn read(&mut self, path: &Path, into: &mut BlockWriter) -> io::Result<Taken> {
        if let Some(place) = self.pending.front_mut().and_then(|file| file.place.take()) {
            self.file.go_on(path, place)?;
        }
        self.file.read(path, into)
    }

    /// Says what is wrong with the directory, or that nothing is any more, when it has changed.
    fn note(&mut self, trouble: Option<io::Error>) {
        let path = self.path.display();
        let before = std::mem::replace(&mut self.trouble, trouble.as_ref().map(io::Error::kind));
        match trouble {
            Some(error) if before != Some(error.kind()) => {
                tracing::warn!(%path, %error, "cannot list a directory; it is tried again");
            }
            None if before.is_some() => tracing::info!(%path, "a directory can be listed again"),
            _ => {}
        }
    }
}

impl Receiver for Directory {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        for _ in 0..std::mem::take(&mut self.unread) {
            into.count_unread_file();
        }
        if let Some(error) = self.given_up.take() {
            into.status().failed(error);
        }
        if std::mem::take(&mut self.is_untold) {
            into.status().looked(&self.looked);
        }
        let mut ended = 0;
        while let Some(&Pending { number, is_missing, place, is_failing }) = self.pending.front()
            && self.is_there
            && !is_missing
        {
            if ended == FILES_A_CALL_MAX {
                return Ok(Received::More);
            }
            if self.leaves_rest(number, into) {
                into.leave_rest();
                self.note_unreadable(into);
                return Ok(Received::Later(LEFT));
            }
            let path = self.path.join(self.picks.name(number).unwrap_or_default());
            match self.read(&path, into) {
                Ok(Taken::Bytes(bytes)) => {
                    self.bytes_left = self.bytes_left.saturating_sub(bytes as u64);
                }
                Ok(Taken::End) => {
                    ended += 1;
                    let read = self.file.place().map(|place| place.proof).zip(self.file.len());
                    self.file.finish(&path, into);
                    self.pending.pop_front();
                    if self.picks.was_unread(number) {
                        into.count_recovered_file();
                    }
                    self.picks.done(number, read);
                }
                Ok(Taken::NoRoom | Taken::Nothing) => return Ok(Received::More),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.file.leave();
                    self.pending.pop_front();
                    self.pending.push_back(Pending { number, place, is_missing: true, is_failing });
                }
                // Nothing of it is lost: it is read as soon as it can be, or is gone.
                Err(error) if is_passing(&error) => {
                    let shown = path.display();
                    if !is_failing {
                        tracing::warn!(path = %shown, %error, "a file cannot be read: tried again");
                    }
                    into.status().failed(format!("cannot read {shown}: {error}"));
                    let place = self.file.place().or(place);
                    self.file.leave();
                    self.pending.pop_front();
                    let is_failing = true;
                    self.pending.push_back(Pending { number, place, is_missing: true, is_failing });
                }
                Err(error) => {
                    let shown = path.display();
                    into.status().failed(format!("cannot read {shown}: {error}"));
                    // What came of an archive before its damage counts.
                    let read = if self.file.is_packed() {
                        tracing::warn!(path = %shown, %error, "a file cannot be read to its end");
                        let read = self.file.place().map(|place| place.proof).zip(self.file.len());
                        self.file.finish(&path, into);
                        read
                    } else {
                        tracing::warn!(path = %shown, %error, "a file cannot be read: left out");
                        self.file.leave();
                        None
                    };
                    if !self.picks.was_unread(number) {
                        into.count_unread_file();
                    }
                    self.pending.pop_front();
                    self.picks.done(number, read);
                }
            }
        }
        self.note_unreadable(into);
        self.links_skipped = self.listing.links_skipped();
        into.set_skipped_links(self.links_skipped as u64);
        // Before the next listing there is nothing to do.
        Ok(Received::Later(Duration::MAX))
    }

    fn attach(&mut self, now: Time, interval: Duration) {
        self.picks.begin(now, interval);
        self.batch_bytes = DIRECTORY_BATCH_BYTES.saturating_mul(interval.as_secs().max(1));
    }

    fn tick(&mut self, time: Time) -> io::Result<bool> {
        self.bytes_left = self.batch_bytes;
        self.waits += usize::from(std::mem::take(&mut self.has_waited));
        let was_there = self.was_there || self.picks.was_listed();
        let picked = self.pick(time);
        self.is_there = picked.is_ok();
        let looked = match picked {
            Ok(trouble) => {
                self.note(None);
                self.is_unreadable = trouble.is_some();
                trouble.map_or(Looked::Well, Looked::Trouble)
            }
            // More files than the maximum.
            Err(error) if error.kind() == io::ErrorKind::Other => return Err(error),
            Err(error) => {
                let is_missing = error.kind() == io::ErrorKind::NotFound;
                self.is_unreadable = !is_missing;
                let is_awaited = is_missing && !was_there;
                let path = self.path.display();
                let message = format!("cannot list directory {path}: {error}");
                self.note(Some(error));
                if is_awaited { Looked::Awaited } else { Looked::Trouble(message) }
            }
        };
        // Trouble is told at each time, since each is another attempt.
        self.is_untold |= looked != Looked::Well || self.looked != Looked::Well;
        self.looked = looked;
        let has_links = self.listing.links_skipped() != self.links_skipped;
        let has_news = self.unread > 0 || self.is_untold || has_links;
        Ok(has_news || (self.is_there && !self.pending.is_empty()))
    }

    /// The files that were picked, and those of them that are to be read, with how far they are.
    fn position(&self) -> Option<Vec<u8>> {
        let mut position = Vec::new();
        self.picks.save(&mut position);
        push_varint(self.pending.len() as u64, &mut position);
        for (index, file) in self.pending.iter().enumerate() {
            let name = self.picks.name(file.number).unwrap_or_default();
            push_bytes(name.as_encoded_bytes(), &mut position);
            let open = if index == 0 { self.file.place() } else { None };
            let place = open.or(file.place);
            position.push(u8::from(place.is_some()));
            if let Some(place) = place {
                place.save(&mut position);
            }
        }
        Some(position)
    }

    /// Whether the file that was being read still is what it was shows when it is opened: another
    /// one is left out as one that cannot be read. Nothing is read before the next look.
    fn resume(&mut self, mut position: &[u8]) -> io::Result<()> {
        let position = &mut position;
        self.picks.load(position).map_err(io::Error::other)?;
        for _ in 0..take_varint(position).map_err(io::Error::other)? {
            let name = take_bytes(position).map_err(io::Error::other)?;
            let number = self.picks.number_of(name).ok_or_else(|| io::Error::other(torn()))?;
            let has_place = take_byte(position).map_err(io::Error::other)? != 0;
            let place = has_place.then(|| Place::load(position)).transpose();
            let place = place.map_err(io::Error::other)?;
            let (is_missing, is_failing) = (false, false);
            self.pending.push_back(Pending { number, place, is_missing, is_failing });
        }
        self.is_there = false;
        Ok(())
    }

    fn name(&self) -> String {
        format!("directory {}", self.path.display())
    }
}
