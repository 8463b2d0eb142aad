//! Outputs and restarts: what comes again after a crash is forgotten before, whatever time has
//! passed, so that each row is there once; and what an exactly-once sink has committed after the
//! checkpoint that is gone on from is taken back.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidemill::prelude::*;
use tidemill::{
    BoxError, ErrorKind, Output, Sink, TextFiles, TransactionalFiles, TransactionalSink,
};

use crate::panics::panic_on_purpose;
use crate::random::{Random, seeds};
use crate::replay::Tape;

const SECOND: Duration = Duration::from_secs(1);

/// Batches of times that were missed that are run after a restart.
const MISSED_MAX: usize = 5;

/// A table with the time of a batch as its key, and what it was told at each start.
#[derive(Clone, Default)]
struct Rows {
    rows: Arc<Mutex<BTreeMap<Time, Vec<String>>>>,
    recovered: Arc<Mutex<Vec<Option<Time>>>>,
}

impl Rows {
    fn forget_after(&self, after: Option<Time>) {
        self.rows.lock().unwrap().retain(|time, _| Some(*time) <= after);
    }

    fn insert(&self, batch: &Batch<String>, time: Time) {
        self.rows.lock().unwrap().insert(time, batch.to_vec());
    }

    fn all(&self) -> Vec<String> {
        self.rows.lock().unwrap().values().flatten().cloned().collect()
    }
}

impl Sink<String> for Rows {
    fn write(&mut self, batch: &Batch<String>, time: Time) -> Result<(), BoxError> {
        self.insert(batch, time);
        Ok(())
    }

    fn recover(&mut self, after: Option<Time>) -> Result<(), BoxError> {
        self.recovered.lock().unwrap().push(after);
        self.forget_after(after);
        Ok(())
    }
}

/// The rows in the files of a directory that are no hidden ones, by name.
fn files_in(directory: &Path) -> BTreeMap<String, Vec<String>> {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    let named = entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path()));
    let shown = named.filter(|(name, _)| !name.starts_with('.'));
    let rows =
        |path: PathBuf| fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect();
    shown.map(|(name, path)| (name, rows(path))).collect()
}

fn rows_in(directory: &Path) -> Vec<String> {
    let mut rows: Vec<String> = files_in(directory).into_values().flatten().collect();
    rows.sort();
    rows
}

/// Rows by number, as many as there are by now, from where the program has been.
struct Numbers {
    written: Arc<AtomicUsize>,
    next: usize,
    due: usize,
}

impl Receiver for Numbers {
    fn receive(&mut self, into: &mut BlockWriter) -> io::Result<Received> {
        for row in self.next..self.due {
            into.push_line(row_of(row).as_bytes());
        }
        self.next = self.due;
        Ok(Received::Later(SECOND))
    }

    fn tick(&mut self, _: Time) -> io::Result<bool> {
        self.due = self.written.load(Ordering::SeqCst);
        Ok(true)
    }

    fn position(&self) -> Option<Vec<u8>> {
        Some(self.next.to_le_bytes().to_vec())
    }

    fn resume(&mut self, position: &[u8]) -> io::Result<()> {
        self.next = usize::from_le_bytes(position.try_into().map_err(io::Error::other)?);
        self.due = self.next;
        Ok(())
    }

    fn name(&self) -> String {
        "numbers".to_owned()
    }
}

fn row_of(number: usize) -> String {
    format!("{number:06}")
}

/// Programs that crash at any batch, also before their first checkpoint, and are started again
/// after up to a hundred times as long as batches are made up for.
#[test]
fn random_downtimes_double_nothing() {
    for seed in seeds(6) {
        let mut random = Random::new(seed);
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        ["plain", "exact"].map(path).iter().for_each(|path| fs::create_dir(path).unwrap());
        let (table, by_closure) = (Rows::default(), Rows::default());
        let written = Arc::<AtomicUsize>::default();
        let mut now = Duration::ZERO;
        for life in (0..1 + random.below(12)).rev() {
            let limits = Limits { missed_batches: MISSED_MAX, ..Limits::default() };
            let builder = StreamingContext::builder("lives").limits(limits).threads(1);
            let mut t = TestContext::with(builder).unwrap();
            now += SECOND * random.below(100 * MISSED_MAX) as u32;
            t.clock().advance(now);
            let ssc = t.context();
            ssc.checkpoint(path("state"), 1 + random.below(4) as u32);
            let numbers = Numbers { written: written.clone(), next: 0, due: 0 };
            let lines = ssc.receiver_stream(numbers).unwrap();
            lines.write_to(table.clone());
            let (own, handle, mut is_first) = (by_closure.clone(), ssc.clone(), true);
            lines.foreach_batch(move |batch, time| {
                if std::mem::take(&mut is_first) {
                    own.forget_after(handle.recovered_from());
                }
                own.insert(batch, time);
                Ok(())
            });
            lines.save_as_text_files(path("plain").join("rows"), "txt");
            let exact = TransactionalFiles::new(TextFiles::new(path("exact").join("rows")));
            lines.save_with("exact.v1", exact);
            for _ in 0..random.below(8) {
                written.fetch_add(random.below(4), Ordering::SeqCst);
                t.tick().unwrap();
            }
            if life == 0 {
                t.tick().unwrap();
                t.context().stop_gracefully();
            }
            now = Duration::from_millis(t.clock().now().millis());
        }
        let expected: Vec<String> = (0..written.load(Ordering::SeqCst)).map(row_of).collect();
        assert_eq!(table.all(), expected, "seed {seed}: the table of a sink");
        assert_eq!(by_closure.all(), expected, "seed {seed}: the table of a closure");
        assert_eq!(rows_in(&path("plain")), expected, "seed {seed}: text files");
        assert_eq!(rows_in(&path("exact")), expected, "seed {seed}: transactional files");
    }
}

#[test]
fn a_sink_is_told_once_at_each_start_before_the_first_batch() {
    let directory = tempfile::tempdir().unwrap();
    let (table, tape) = (Rows::default(), Tape::new([["a"], ["b"], ["c"]]));
    let start = |every| {
        let t = TestContext::new().unwrap();
        t.context().checkpoint(directory.path(), every);
        t.context().receiver_stream(tape.player()).unwrap().write_to(table.clone());
        assert_eq!(t.context().recovered_from(), None, "before the start");
        t.context().start().unwrap();
        t
    };
    let told = || std::mem::take(&mut *table.recovered.lock().unwrap());
    let time = |millis| Some(Time::from_millis(millis));
    // A first start.
    let mut t = start(10);
    assert_eq!((told(), t.context().recovered_from()), (vec![None], None));
    t.tick().unwrap();
    assert_eq!(told(), []);
    drop(t);
    // Without a checkpoint all that there was comes again.
    let mut t = start(2);
    assert_eq!((told(), t.context().recovered_from()), (vec![time(0)], time(0)));
    assert_eq!(table.all(), [""; 0]);
    (0..3).for_each(|_| t.tick().unwrap());
    assert_eq!(table.all(), ["a", "b", "c"]);
    drop(t);
    // After the second batch there was a checkpoint.
    let t = start(2);
    assert_eq!((told(), t.context().recovered_from()), (vec![time(2_000)], time(2_000)));
    assert_eq!(table.all(), ["a", "b"]);
    drop(t);
    // Whoever removes all checkpoints begins anew.
    for entry in fs::read_dir(directory.path()).unwrap().map(Result::unwrap) {
        if entry.file_name().to_string_lossy().starts_with("checkpoint-") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    assert_eq!((start(2).context().recovered_from(), told()), (None, vec![None]));
    // Without a directory of checkpoints nothing is known.
    let mut t = TestContext::new().unwrap();
    t.input::<String>().stream().write_to(table.clone());
    t.tick().unwrap();
    assert_eq!((told(), t.context().recovered_from()), (vec![None], None));
}

#[test]
fn recovered_from_is_known_before_the_start_with_get_or_create() {
    let directory = tempfile::tempdir().unwrap();
    let create = || {
        let ssc = StreamingContext::builder("known").batch_interval(Duration::from_millis(5));
        let ssc = ssc.build()?;
        let (numbers, queue) = ssc.queue_stream::<i64>()?;
        numbers.foreach_batch(|_, _| Ok(()));
        queue.push([1])?;
        Ok(ssc)
    };
    let ssc = StreamingContext::get_or_create(directory.path(), create).unwrap();
    assert_eq!(ssc.recovered_from(), None);
    ssc.start().unwrap();
    ssc.await_termination().unwrap();
    let ssc = StreamingContext::get_or_create(directory.path(), create).unwrap();
    let before = ssc.recovered_from();
    let last = tidemill::checkpoint::inspect(directory.path()).unwrap().pop().unwrap().time;
    assert!(before.is_some() && before == last, "{before:?}, {last:?}");
    ssc.start().unwrap();
    assert_eq!(ssc.recovered_from(), before);
    ssc.await_termination().unwrap();
}

#[test]
fn a_sink_that_cannot_recover_fails_the_start() {
    struct Broken(bool);

    impl Sink<String> for Broken {
        fn write(&mut self, _: &Batch<String>, _: Time) -> Result<(), BoxError> {
            unreachable!("there is no batch")
        }

        fn recover(&mut self, _: Option<Time>) -> Result<(), BoxError> {
            if self.0 {
                panic_on_purpose();
            }
            Err("the table is locked".into())
        }
    }

    for (panics, kind, part) in [
        (false, ErrorKind::Sink, "the table is locked"),
        (true, ErrorKind::Closure, "write_to panicked: on purpose"),
    ] {
        let mut t = TestContext::new().unwrap();
        t.input::<String>().stream().write_to(Broken(panics));
        let error = t.tick().unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn a_sink_that_fails_has_the_batch_again() {
    struct Once(Rows, bool);

    impl Sink<String> for Once {
        fn write(&mut self, batch: &Batch<String>, time: Time) -> Result<(), BoxError> {
            if std::mem::take(&mut self.1) {
                return Err("503 Service Unavailable".into());
            }
            self.0.write(batch, time)
        }

        fn recover(&mut self, after: Option<Time>) -> Result<(), BoxError> {
            self.0.recover(after)
        }
    }

    let table = Rows::default();
    for retries in [0, 1] {
        let mut t = TestContext::new().unwrap();
        let words = t.input::<String>();
        words.stream().write_to(Once(table.clone(), true)).retry(retries, Duration::ZERO);
        words.push(["a"]).unwrap();
        match t.tick() {
            Ok(()) => assert_eq!((retries, table.all()), (1, vec!["a".to_owned()])),
            Err(error) => {
                assert_eq!((retries, error.kind()), (0, ErrorKind::Sink), "{error}");
                assert!(error.to_string().contains("503 Service Unavailable"), "{error}");
            }
        }
    }
}

/// Only files of these names and of later batches are removed, and those of a crash.
#[test]
fn text_files_of_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    let (out, state) = (folder.path().join("out"), folder.path().join("state"));
    fs::create_dir(&out).unwrap();
    let tape = Tape::new([["a"], ["b"], ["c"]]);
    let start = |with_checkpoints: bool| {
        let t = TestContext::new().unwrap();
        if with_checkpoints {
            t.context().checkpoint(&state, 2);
        }
        let lines = t.context().receiver_stream(tape.player()).unwrap();
        lines.save_as_text_files(out.join("rows"), "txt");
        t
    };
    let mut t = start(true);
    (0..3).for_each(|_| t.tick().unwrap());
    drop(t);
    let others = [
        "rows-9000",
        "rows-9000.csv",
        "rows-09000.txt",
        "rows-9000.txt.gz",
        "rows-x.txt",
        "rows-.txt",
        "more-rows-9000.txt",
        "rows-99999999999999999999.txt",
        ".others-9000.txt.tmp",
    ];
    for other in others.into_iter().chain([".rows-3000.txt.tmp"]) {
        fs::write(out.join(other), "").unwrap();
    }
    let names = || {
        let entries = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    };
    // Without checkpoints nobody knows whose they are.
    let before = names();
    start(false).context().start().unwrap();
    assert_eq!(names(), before);
    start(true).context().start().unwrap();
    let own = ["rows-1000.txt", "rows-2000.txt"];
    let mut expected: Vec<&str> = others.into_iter().chain(own).collect();
    expected.sort();
    assert_eq!(names(), expected);
}

/// A program with an exactly-once sink, and a checkpoint after each batch.
fn exact(folder: &Path, tape: &Tape, save: &dyn Fn(&DStream<String>) -> Output) -> TestContext {
    let t = TestContext::new().unwrap();
    t.context().checkpoint(folder.join("state"), 1);
    save(&t.context().receiver_stream(tape.player()).unwrap());
    t
}

/// Flips a bit of the newest checkpoint, and of its copy if it has one.
fn damage_newest(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("state")).unwrap().map(|entry| entry.unwrap().path());
    let paths: Vec<PathBuf> =
        entries.filter(|path| path.to_string_lossy().contains("checkpoint-")).collect();
    let newest = paths.iter().map(|path| path.file_stem().unwrap().to_owned()).max().unwrap();
    let newest: Vec<PathBuf> =
        paths.into_iter().filter(|path| path.file_stem() == Some(&newest)).collect();
    for path in &newest {
        let mut bytes = fs::read(path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(path, bytes).unwrap();
    }
    newest
}

#[test]
fn files_committed_after_the_checkpoint_that_is_gone_on_from_are_taken_back() {
    for downtime in [0, 100] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        fs::create_dir(&out).unwrap();
        let tape = Tape::new([["a"], ["b"], ["c"], ["d"], ["e"]]);
        let save = |lines: &DStream<String>| {
            let files = TextFiles::new(out.join("rows")).suffix("txt");
            lines.save_with("rows.v1", TransactionalFiles::new(files))
        };
        let mut t = exact(folder.path(), &tape, &save);
        (0..4).for_each(|_| t.tick().unwrap());
        drop(t);
        assert_eq!(rows_in(&out), ["a", "b", "c", "d"]);
        damage_newest(folder.path());
        let mut t = exact(folder.path(), &tape, &save);
        t.clock().advance(SECOND * downtime);
        t.context().start().unwrap();
        let after = t.context().recovered_from().unwrap().millis() / 1_000;
        assert!((1..4).contains(&after), "{after}");
        let left = ["a", "b", "c", "d"];
        assert_eq!(rows_in(&out), left[..after as usize], "{downtime}");
        // What was taken back is kept, for those who want to look.
        for number in after + 1..=4 {
            let kept = fs::read_to_string(out.join(format!(".rows-{number}000.txt.taken-back")));
            assert_eq!(kept.unwrap().trim(), left[number as usize - 1]);
        }
        (0..5 - after).for_each(|_| t.tick().unwrap());
        t.context().stop_gracefully();
        assert_eq!(rows_in(&out), ["a", "b", "c", "d", "e"], "{downtime}");
    }
}

#[test]
fn files_that_cannot_be_taken_back_refuse_the_start_with_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    let tape = Tape::new([["a"], ["b"], ["c"]]);
    let save = |lines: &DStream<String>| {
        lines.save_with("rows.v1", TransactionalFiles::new(TextFiles::new(out.join("rows"))))
    };
    let mut t = exact(folder.path(), &tape, &save);
    (0..3).for_each(|_| t.tick().unwrap());
    drop(t);
    damage_newest(folder.path());
    // Something else has the name.
    let name = out.join(".rows-3000.taken-back");
    fs::create_dir_all(name.join("full")).unwrap();
    for _ in 0..2 {
        let error = exact(folder.path(), &tape, &save).context().start().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Sink);
        for part in ["\"rows.v1\"", "rows-3000"] {
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
        assert_eq!(rows_in(&out).last().unwrap(), "c");
    }
    fs::remove_dir_all(name).unwrap();
    let mut t = exact(folder.path(), &tape, &save);
    (0..3).for_each(|_| t.tick().unwrap());
    t.context().stop_gracefully();
    assert_eq!(rows_in(&out), ["a", "b", "c"]);
}

/// A sink that cannot take back.
#[derive(Clone, Default)]
struct Posted(Arc<Mutex<Vec<String>>>, Vec<String>);

impl TransactionalSink<String> for Posted {
    fn write(&mut self, batch: &Batch<String>, _: Time) -> Result<(), BoxError> {
        self.1.extend(batch.to_vec());
        Ok(())
    }

    fn prepare(&mut self) -> Result<Vec<u8>, BoxError> {
        Ok(std::mem::take(&mut self.1).join("\n").into_bytes())
    }

    fn commit(&mut self, prepared: &[u8]) -> Result<(), BoxError> {
        let mut posted = self.0.lock().unwrap();
        for row in String::from_utf8(prepared.to_vec())?.lines() {
            if !posted.iter().any(|known| known == row) {
                posted.push(row.to_owned());
            }
        }
        Ok(())
    }

    fn recover(&mut self, prepared: &[Vec<u8>]) -> Result<(), BoxError> {
        prepared.iter().try_for_each(|prepared| self.commit(prepared))
    }
}

#[test]
fn a_sink_that_cannot_take_back_refuses_the_start_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (posted, tape) = (Posted::default(), Tape::new([["a"], ["b"], ["c"]]));
    let save = |lines: &DStream<String>| lines.save_with("posted.v1", posted.clone());
    let mut t = exact(folder.path(), &tape, &save);
    (0..3).for_each(|_| t.tick().unwrap());
    drop(t);
    // Nothing is wrong: nothing is to be taken back.
    exact(folder.path(), &tape, &save).context().start().unwrap();
    let damaged = damage_newest(folder.path());
    let error = exact(folder.path(), &tape, &save).context().start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Sink);
    for part in ["\"posted.v1\"", "after 2000 ms", "damaged: 3", "remove these checkpoints"] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
    // As it says.
    posted.0.lock().unwrap().clear();
    damaged.iter().for_each(|path| fs::remove_file(path).unwrap());
    let mut t = exact(folder.path(), &tape, &save);
    (0..3).for_each(|_| t.tick().unwrap());
}
