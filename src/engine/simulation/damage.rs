//! Files that are damaged between two lives, or while a program runs: whatever becomes of one file,
//! all that was acknowledged is there once, or the start says what is gone.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::Random;
use super::model::Model;
use super::program::{Life, Program};
use super::wire::{STATE, Sender, begin};
use crate::error::{Error, ErrorKind};
use crate::source::IntakeLog;
use crate::storage::faulty::FaultyDisk;
use crate::storage::{Storage, write_all};

/// Batches, each with a checkpoint. The first two stand by themselves, and the others on those.
const BATCHES: usize = 6;
const LINES: u64 = 5;

/// Bytes cut off, or a bit that is another one.
fn damaged(mut bytes: Vec<u8>, random: &mut Random) -> Vec<u8> {
    let at = random.below(bytes.len() as u64) as usize;
    if random.below(2) == 0 {
        bytes.truncate(at);
    } else {
        bytes[at] ^= 1 << random.below(8);
    }
    bytes
}

fn checkpoints(disk: &FaultyDisk, directory: &Path) -> Vec<PathBuf> {
    let mut paths = disk.list(directory).unwrap();
    paths.retain(|path| path.to_string_lossy().contains("checkpoint-"));
    paths
}

#[test]
fn a_start_from_damaged_checkpoints() {
    let (disk, mut model) = (FaultyDisk::new(1), Model::default());
    let program = Program::new(Arc::new(disk.clone()), Path::new("/"));
    let mut life = Life::begin(&program, &mut model).unwrap();
    for _ in 0..BATCHES {
        life.tick(LINES, &mut model).unwrap();
    }
    life.end(false, &mut model).unwrap();
    let paths = checkpoints(&disk, &program.state());
    assert_eq!(paths.len(), BATCHES);
    let mut random = Random::new(7);
    for (index, path) in paths.iter().enumerate() {
        for _ in 0..20 {
            let disk = disk.copy();
            disk.overwrite(path, damaged(disk.read(path).unwrap(), &mut random));
            let program = Program::new(Arc::new(disk.clone()), Path::new("/"));
            let mut model = model.fork();
            let mut life = Life::begin(&program, &mut model).expect("another chain is whole");
            let expected = if index == 0 { BATCHES } else { index };
            assert_eq!(model.len(), expected, "it goes on from the last one before {path:?}");
            while model.len() < BATCHES + 2 {
                life.tick(LINES, &mut model).unwrap();
            }
            life.end(true, &mut model).unwrap();
            model.check_files(&disk, &program.out());
        }
    }
}

/// All that operators remember is written anew from memory, and a crash then loses nothing.
#[test]
fn a_checkpoint_that_is_damaged_while_the_program_runs() {
    let mut random = Random::new(3);
    for target in 0..BATCHES {
        let (disk, mut model) = (FaultyDisk::new(1), Model::default());
        let program = Program::new(Arc::new(disk.clone()), Path::new("/"));
        let mut life = Life::begin(&program, &mut model).unwrap();
        for _ in 0..BATCHES {
            life.tick(LINES, &mut model).unwrap();
        }
        let path = &checkpoints(&disk, &program.state())[target];
        disk.overwrite(path, damaged(disk.read(path).unwrap(), &mut random));
        // Each file is read back once in as many checkpoints as there are files.
        let mut ticks = 0;
        while life.metrics().checkpoints.damaged == 0 {
            life.tick(LINES, &mut model).unwrap();
            ticks += 1;
            assert!(ticks < 2 * BATCHES + 2, "{path:?} was not read back");
        }
        assert_eq!(life.metrics().checkpoints.damaged, 1);
        for _ in 0..3 {
            life.tick(LINES, &mut model).unwrap();
        }
        let batches = model.len();
        life.end(false, &mut model).unwrap();
        // One more is damaged later: what is whole is enough.
        for path in checkpoints(&disk, &program.state()) {
            let disk = disk.copy();
            disk.overwrite(&path, damaged(disk.read(&path).unwrap(), &mut random));
            let program = Program::new(Arc::new(disk), Path::new("/"));
            Life::begin(&program, &mut model.fork()).expect("another chain is whole");
        }
        let life = Life::begin(&program, &mut model).unwrap();
        assert_eq!(model.len(), batches, "it goes on from the last one");
        life.end(true, &mut model).unwrap();
        model.check_files(&disk, &program.out());
    }
}

/// Nothing is left of what was written, and a stop writes all of it once more.
#[test]
fn what_the_last_checkpoint_of_a_stop_stands_on_is_read_back() {
    for every in 1..=2 {
        let (disk, mut model) = (FaultyDisk::new(1), Model::default());
        let mut program = Program::new(Arc::new(disk.clone()), Path::new("/"));
        // Also where the last batch has its checkpoint already.
        program.every = every;
        let mut life = Life::begin(&program, &mut model).unwrap();
        for _ in 0..BATCHES {
            life.tick(LINES, &mut model).unwrap();
        }
        for path in checkpoints(&disk, &program.state()) {
            disk.overwrite(&path, b"tide".to_vec());
        }
        life.end(true, &mut model).unwrap();
        let batches = model.len();
        let mut life = Life::begin(&program, &mut model).unwrap();
        assert_eq!(model.len(), batches, "nothing is lost");
        life.tick(LINES, &mut model).unwrap();
        life.end(true, &mut model).unwrap();
        model.check_files(&disk, &program.out());
    }
}

/// What a wire has sent, and was told that all of it is safe: a program that was stopped at once.
fn safe(batches: u64, lines: u64, every: u32) -> (FaultyDisk, u64) {
    let (disk, sender) = (FaultyDisk::new(5), Arc::<Mutex<Sender>>::default());
    let (mut t, _) = begin(&disk, &sender, Some(IntakeLog::synced()), false, (1, every)).unwrap();
    for batch in 0..batches {
        sender.lock().unwrap().kept.extend(batch * lines..(batch + 1) * lines);
        t.tick().unwrap();
    }
    t.context().stop();
    drop(t);
    assert_eq!(sender.lock().unwrap().first, batches * lines, "all is safe");
    (disk, batches * lines)
}

/// Starts from a disk, and checks that each line is there once, from the first to the last that is,
/// of which it says the number.
fn lines_of(disk: &FaultyDisk) -> Result<u64, Error> {
    let sender = Arc::<Mutex<Sender>>::default();
    let (mut t, counted) = begin(disk, &sender, Some(IntakeLog::synced()), false, (1, 2))?;
    t.tick()?;
    let counted = counted.lock().unwrap();
    let expected = (0..counted.len() as u64).map(|line| (line, 1));
    assert!(counted.iter().map(|(&line, &count)| (line, count)).eq(expected), "{counted:?}");
    Ok(counted.len() as u64)
}

/// The same, where all that was acknowledged has to be there.
fn check(disk: &FaultyDisk, acknowledged: u64) -> Result<(), Error> {
    let lines = lines_of(disk)?;
    assert_eq!(lines, acknowledged, "lines that were acknowledged are lost in silence");
    Ok(())
}

/// The files of the log, without those beside them.
fn logs(disk: &FaultyDisk) -> Vec<PathBuf> {
    let mut paths = intake(disk);
    paths.retain(|path| !path.to_string_lossy().ends_with(".marks"));
    paths
}

fn intake(disk: &FaultyDisk) -> Vec<PathBuf> {
    disk.list(&Path::new(STATE).join("intake")).unwrap()
}

/// A checkpoint set with the log beside it, of which the last batch is in the log alone. All of it
/// with `TIDEMILL_LONG`.
#[test]
fn every_byte_flipped_and_every_length_cut_with_the_log_beside_it() {
    let (disk, acknowledged) = safe(9, 6, 2);
    check(&disk.copy(), acknowledged).unwrap();
    let step = if std::env::var_os("TIDEMILL_LONG").is_some() { 1 } else { 29 };
    let (mut cases, mut refused) = (0, 0);
    for path in disk.list(Path::new(STATE)).unwrap().into_iter().chain(intake(&disk)) {
        let good = disk.read(&path).unwrap();
        let is_log = logs(&disk).contains(&path);
        for at in (0..good.len()).step_by(step) {
            let mut flipped = good.clone();
            flipped[at] ^= 1 << (at % 8);
            for bytes in [flipped, good[..at].to_vec()] {
                let disk = disk.copy();
                disk.overwrite(&path, bytes);
                cases += 1;
                let error = match lines_of(&disk) {
                    Err(error) => error,
                    Ok(lines) => {
                        assert_eq!(lines, acknowledged, "{}, byte {at}", path.display());
                        continue;
                    }
                };
                // What is in the log alone has no other place.
                assert!(is_log, "{}, byte {at}: {error}", path.display());
                assert_eq!(error.kind(), ErrorKind::Checkpoint);
                let message = error.to_string();
                assert!(message.contains("that were acknowledged are lost"), "{message}");
                assert!(message.contains("\"wire\"") && message.contains(STATE), "{message}");
                refused += 1;
            }
        }
    }
    assert!(cases > 100 && refused > 0 && refused < cases, "{refused} of {cases}");
}

/// The log has what came since the oldest chain began, and no more.
#[test]
fn a_flipped_bit_in_any_checkpoint_with_the_log_pruned_loses_nothing() {
    let (disk, acknowledged) = safe(140, 12, 1);
    let first = logs(&disk)[0].clone();
    assert!(!first.to_string_lossy().contains("wire-0000000000-"), "{first:?}: it was pruned");
    let paths = checkpoints(&disk, Path::new(STATE));
    assert!(paths.len() > 66, "{} files", paths.len());
    let step = if std::env::var_os("TIDEMILL_LONG").is_some() { 1 } else { 7 };
    let bases = [0, 65];
    let some = (0..paths.len()).step_by(step).chain(bases).chain([paths.len() - 1]);
    for path in some.map(|at| &paths[at]) {
        let (disk, mut bytes) = (disk.copy(), disk.read(path).unwrap());
        let at = bytes.len() / 2;
        bytes[at] ^= 4;
        disk.overwrite(path, bytes);
        let checked = check(&disk, acknowledged);
        checked.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// A fall-back that needs what is gone is none that anybody takes for whole.
#[test]
fn a_start_that_needs_what_is_gone_says_what_that_is() {
    let (disk, acknowledged) = safe(100, 12, 1);
    // The newest chain is damaged at its base, so the one before is needed, and what came since.
    let paths = checkpoints(&disk, Path::new(STATE));
    let newest = paths.len() + 66 - 100;
    disk.overwrite(&paths[newest], b"tide".to_vec());
    check(&disk.copy(), acknowledged).unwrap();
    let all = logs(&disk);
    assert!(all.len() > 2, "{all:?}");
    all[..all.len() - 1].iter().for_each(|path| disk.remove(path).unwrap());
    let error = check(&disk.copy(), acknowledged).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("\"wire\"") && message.contains("such as "), "{message}");
    // Those who accept that hear of it.
    let sender = Arc::<Mutex<Sender>>::default();
    let log = IntakeLog::synced().accept_loss();
    let (mut t, _) = begin(&disk.copy(), &sender, Some(log), false, (1, 2)).unwrap();
    let told = t.tick().and_then(|()| t.context().await_termination_timeout(super::PATIENCE));
    assert!(told.unwrap_err().to_string().contains("blocks lost before"));
    drop(t);
    disk.remove(&all[all.len() - 1]).unwrap();
    let message = check(&disk, acknowledged).unwrap_err().to_string();
    assert!(message.contains("is gone") && message.contains("its blocks up to"), "{message}");
}

/// The same source in another directory has the same numbers.
#[test]
fn the_log_of_another_directory_is_not_replayed() {
    let ((disk, acknowledged), (other, _)) = (safe(9, 6, 2), safe(9, 7, 2));
    let own = logs(&disk);
    for path in intake(&other) {
        let mut file = disk.create(&path).unwrap();
        write_all(&mut *file, &other.read(&path).unwrap()).unwrap();
        file.sync().unwrap();
    }
    check(&disk.copy(), acknowledged).unwrap();
    own.iter().for_each(|path| disk.remove(path).unwrap());
    let message = check(&disk, acknowledged).unwrap_err().to_string();
    assert!(message.contains("the intake log of source \"wire\""), "{message}");
    assert!(message.contains("is gone"), "{message}");
}

/// What operators hold in all their forms is all there in a checkpoint from memory.
#[test]
fn every_checkpoint_may_have_all_there_is() {
    let (disk, mut model) = (FaultyDisk::new(1), Model::default());
    let program = Program::new(Arc::new(disk.clone()), Path::new("/"));
    for _ in 0..3 {
        let mut life = Life::begin(&program, &mut model).unwrap();
        for batch in 0..BATCHES as u64 {
            // With all that was written damaged, the next one is whole.
            life.tick([0, LINES, 20][batch as usize % 3], &mut model).unwrap();
            for path in checkpoints(&disk, &program.state()) {
                disk.overwrite(&path, b"tide".to_vec());
            }
        }
        life.end(true, &mut model).unwrap();
        let batches = model.len();
        let life = Life::begin(&program, &mut model).unwrap();
        assert_eq!(model.len(), batches);
        life.end(false, &mut model).unwrap();
    }
}
