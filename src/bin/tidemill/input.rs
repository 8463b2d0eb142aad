//! Where lines come from, and how they are cut into batches: what all subcommands that read have in
//! common.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tidemill::{
    DStream, Encoding, Files, FirstLine, Limits, LineOptions, Listen, Receiver, Socket, Stdin,
    StreamingContext,
};

use crate::failure::Failure;
use crate::followed::{check_output, follow};
use crate::{access, parse, stdio, terminal};

/// The batch interval of input that is not cut by time; what ends by itself ends its batch, too.
const WHOLE_INPUT: Duration = Duration::from_secs(60 * 60);

#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Files to read, one after another: pipes, too, each to its end; - is standard input, as is no
    /// FILE
    pub(crate) files: Vec<PathBuf>,

    /// Read lines from the server at HOST:PORT; connects again when it closes
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["files", "listen", "follow"])]
    connect: Option<String>,

    /// Read lines from whoever connects to ADDR, such as 127.0.0.1:9999. One that other machines
    /// reach needs --public, --secret-file, or --tls-cert, --tls-key and --tls-ca
    #[arg(long, value_name = "ADDR", conflicts_with_all = ["files", "follow"])]
    listen: Option<String>,

    /// Tell whoever connects, by lines with a number, how many of the bytes that it sent are safe:
    /// one that sends the rest again after a crash loses nothing, and one that says who it is, by a
    /// first line TIDEMILL/1 producer=ID, is counted once
    #[arg(long, requires_all = ["listen", "checkpoint"])]
    acknowledge: bool,

    /// Disconnect whoever has sent nothing for TIME, from 1ms to 24h, or never
    /// [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = parse::idle_timeout)]
    #[arg(allow_hyphen_values = true, requires = "listen")]
    idle_timeout: Option<Duration>,

    #[command(flatten)]
    access: access::Args,

    /// Read FILEs and then what is appended to them, also after they were rotated; of a directory
    /// all files in it and then those that are moved there, each once and whole
    #[arg(long, requires = "files")]
    follow: bool,

    /// Read a followed file that was rotated until nothing was appended to it for TIME, since its
    /// writer may not have opened the new one yet [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = parse::interval, allow_hyphen_values = true)]
    #[arg(requires = "follow")]
    rotated_quiet: Option<Duration>,

    /// Of a directory that is followed read the files in the directories below, too, but for hidden
    /// ones
    #[arg(long, requires = "follow")]
    recursive: bool,

    /// Of a directory that is followed read symbolic links, too: otherwise those in it are told and
    /// left out, as who may write there could have any file read
    #[arg(long, requires = "follow")]
    follow_links: bool,

    /// The longest line, or for wordcount the longest word, from 1 to 64M; what is longer is cut
    /// there, and the exit code says so [default: 256k]
    #[arg(long, value_name = "BYTES", value_parser = parse::line_bytes)]
    pub(crate) max_line: Option<usize>,

    /// How the lines are encoded: utf-8, utf-16, latin1 or another encoding of one byte for each
    /// character, such as windows-1251 [default: utf-8]
    #[arg(long, value_name = "NAME", value_parser = parse::encoding)]
    encoding: Option<Encoding>,

    /// Time between two batches of a stream, from 1ms to 24h [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = parse::interval, allow_hyphen_values = true)]
    interval: Option<Duration>,

    /// Count over the last TIME, at each slide, rather than in each batch
    #[arg(long, value_name = "TIME", value_parser = parse::interval, allow_hyphen_values = true)]
    #[arg(conflicts_with = "running")]
    window: Option<Duration>,

    /// Time between two results of --window [default: the interval]
    #[arg(long, value_name = "TIME", value_parser = parse::interval, allow_hyphen_values = true)]
    #[arg(requires = "window")]
    slide: Option<Duration>,
}

/// A time that results are over, and the time between two of them.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Window {
    pub(crate) length: Duration,
    pub(crate) slide: Duration,
}

/// Lines that are to be read, and how.
pub(crate) struct Input<'a> {
    pub(crate) source: Source<'a>,
    access: &'a access::Args,
    /// What is read to its end, as opened: all FILEs, or of those that are followed each pipe by
    /// itself.
    pub(crate) files: Vec<Files>,
    /// Whether there is a result for each batch, rather than one at the end.
    pub(crate) is_stream: bool,
    pub(crate) interval: Duration,
    pub(crate) window: Option<Window>,
    /// Bytes of the longest line or word.
    pub(crate) max_line: usize,
    pub(crate) encoding: Encoding,
}

/// How many bytes there are to read, on the disk, and how many of them were.
pub(crate) struct Extent {
    pub(crate) total: u64,
    pub(crate) read: Arc<AtomicU64>,
}

/// How files are followed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Following {
    /// How long a rotated file has to be quiet, unless it is the usual time.
    pub(crate) rotated_quiet: Option<Duration>,
    /// Whether directories are read with those below.
    pub(crate) is_recursive: bool,
    /// Whether links in directories are followed.
    pub(crate) follows_links: bool,
}

/// Who decides about the first line of each file.
pub(crate) type Ask = Arc<dyn Fn(&Path, &str) -> FirstLine + Send + Sync>;

/// How lines are cut, and which files are read.
#[derive(Clone, Default)]
pub(crate) struct Lines {
    pub(crate) options: LineOptions,
    pub(crate) first_line: Option<Ask>,
}

/// Where the lines come from.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source<'a> {
    Connect(&'a str),
    Listen {
        address: &'a str,
        acknowledges: bool,
        idle_timeout: Option<Duration>,
    },
    Follow(&'a [PathBuf], Following),
    /// None of them is standard input.
    Files(&'a [PathBuf]),
}

impl Args {
    /// The input that is asked for, if it can be had so.
    pub(crate) fn input(&self) -> Result<Input<'_>, Failure> {
        let source = self.source();
        self.access.check(self.listen.as_deref(), self.connect.as_deref())?;
        let is_stream = match source {
            Source::Connect(_) | Source::Listen { .. } | Source::Follow(..) => true,
            Source::Files(_) if source.has_pipe() => {
                self.interval.is_some() || self.window.is_some()
            }
            Source::Files(_) => {
                if self.window.is_some() {
                    let message =
                        "--window needs a stream: FILEs with --follow, a socket or a pipe";
                    return Err(Failure::Usage(message.to_owned()));
                }
                if self.interval.is_some() {
                    terminal::tell("--interval does nothing for files without --follow");
                }
                false
            }
        };
        let window = self.window.map(|length| self.window(length)).transpose()?;
        let interval = match window {
            _ if !is_stream => WHOLE_INPUT,
            // The last batch, which is cut where the input ends, is given out with the window.
            Some(window) => window.slide,
            None => self.interval.unwrap_or(Duration::from_secs(1)),
        };
        if matches!(source, Source::Follow(..) | Source::Files(_)) {
            check_output(&self.files, is_stream)?;
        }
        let max_line = self.max_line.unwrap_or(Limits::default().line_bytes);
        let files = source.open_files()?;
        let encoding = self.encoding.unwrap_or_default();
        let access = &self.access;
        Ok(Input { source, access, files, is_stream, interval, window, max_line, encoding })
    }

    fn source(&self) -> Source<'_> {
        match self {
            Args { connect: Some(address), .. } => Source::Connect(address),
            Args { listen: Some(address), acknowledge, idle_timeout, .. } => {
                let (acknowledges, idle_timeout) = (*acknowledge, *idle_timeout);
                Source::Listen { address, acknowledges, idle_timeout }
            }
            Args { follow: true, files, rotated_quiet, recursive, follow_links, .. } => {
                let (rotated_quiet, is_recursive) = (*rotated_quiet, *recursive);
                let follows_links = *follow_links;
                Source::Follow(files, Following { rotated_quiet, is_recursive, follows_links })
            }
            Args { files, .. } => Source::Files(files),
        }
    }

    fn window(&self, length: Duration) -> Result<Window, Failure> {
        let interval = self.interval.or(self.slide).unwrap_or(Duration::from_secs(1));
        let slide = self.slide.unwrap_or(interval);
        check_multiple("--slide", slide, "--interval", interval)?;
        check_multiple("--window", length, "--slide", slide)?;
        Ok(Window { length, slide })
    }
}

fn check_multiple(name: &str, time: Duration, of: &str, unit: Duration) -> Result<(), Failure> {
    if time.as_millis().is_multiple_of(unit.as_millis()) {
        return Ok(());
    }
    let message = format!("{name} is {time:?}, but must be a multiple of {of}, which is {unit:?}");
    Err(Failure::Usage(message))
}

impl Input<'_> {
    /// The lines, and of files how much there is to read.
    pub(crate) fn open(
        &mut self,
        ssc: &StreamingContext,
        mut lines: Lines,
        checkpoint: Option<&Path>,
    ) -> Result<(DStream<String>, Option<Extent>), Failure> {
        lines.options.encoding = self.encoding;
        let options = lines.options;
        let (mut streams, mut extent) = (Vec::new(), None);
        for files in self.files.drain(..) {
            extent = files
                .is_bounded()
                .then(|| Extent { total: files.bytes_total(), read: files.progress() });
            let files = match lines.first_line.clone() {
                Some(ask) => files.first_line(move |path, line| ask(path, line)),
                None => files,
            };
            streams.push(ssc.text_stream(files, options)?);
        }
        match self.source {
            Source::Connect(address) => {
                let socket = self.access.connect(Socket::connect(address)?)?;
                streams.push(ssc.text_stream(socket, options)?);
            }
            Source::Listen { address, acknowledges, idle_timeout } => {
                let mut listen = self.access.listen(Listen::bind(address)?)?;
                if acknowledges {
                    listen = listen.acknowledging();
                }
                if let Some(time) = idle_timeout {
                    listen = listen.idle_timeout(time);
                }
                terminal::tell(format_args!("listening on {}", listen.local_addr()));
                streams.push(ssc.text_stream(listen, options)?);
            }
            Source::Follow(paths, following) => {
                let paths: Vec<PathBuf> =
                    paths.iter().filter(|path| !Files::is_pipe(path)).cloned().collect();
                streams.extend(follow(ssc, &paths, following, checkpoint, lines)?);
            }
            Source::Files(_) => {}
        }
        let lines = match streams.as_slice() {
            [lines] => lines.clone(),
            several => ssc.union(several),
        };
        Ok((lines, extent))
    }
}

impl Source<'_> {
    /// Opens what is read to its end.
    fn open_files(self) -> Result<Vec<Files>, Failure> {
        let stdin = [PathBuf::from("-")];
        let (paths, follows) = match self {
            Source::Files([]) => (&stdin[..], false),
            Source::Files(paths) => (paths, false),
            Source::Follow(paths, _) => (paths, true),
            Source::Connect(_) | Source::Listen { .. } => return Ok(vec![]),
        };
        if stdio::is_stdin_closed() && paths.iter().any(Stdin::is_called) {
            return Err(Failure::Input("cannot read standard input: it is closed".to_owned()));
        }
        let opened: Result<Vec<Files>, tidemill::Error> = match follows {
            false => Files::open_or_stdin(paths).map(|files| vec![files]),
            true => paths
                .iter()
                .filter(|path| Files::is_pipe(path))
                .map(|path| Files::open_or_stdin([path]))
                .collect(),
        };
        Ok(opened?)
    }

    /// Whether what comes cannot be read again.
    pub(crate) fn is_socket(self) -> bool {
        matches!(self, Source::Connect(_) | Source::Listen { .. })
    }

    /// Whether any of it is read once, to its end, as standard input is.
    pub(crate) fn has_pipe(self) -> bool {
        match self {
            Source::Files([]) => true,
            Source::Files(paths) | Source::Follow(paths, _) => paths.iter().any(Files::is_pipe),
            Source::Connect(_) | Source::Listen { .. } => false,
        }
    }

    /// Whether there are FILEs that end, and more than standard input.
    pub(crate) fn is_listed(self) -> bool {
        matches!(self, Source::Files(paths) if !paths.iter().all(Stdin::is_called))
    }

    /// Whether somebody types the lines.
    pub(crate) fn is_typed(self) -> bool {
        let reads_stdin = match self {
            Source::Files(paths) => paths.is_empty() || paths.iter().any(Stdin::is_called),
            Source::Follow(paths, _) => paths.iter().any(Stdin::is_called),
            Source::Connect(_) | Source::Listen { .. } => false,
        };
        reads_stdin && terminal::stdin_is_terminal()
    }
}

/// Whether two paths are of one file or directory that is there.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    let [one, other] = [one, other].map(|path| path.canonicalize());
    matches!((one, other), (Ok(one), Ok(other)) if one == other)
}
