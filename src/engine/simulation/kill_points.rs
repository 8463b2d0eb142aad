//! SIGKILL at every operation that a program does to its disk, before, amid and after it: the next
//! life goes on from something whole, and no line is lost or there twice.
//!
//! A child runs the program over the machine's disk until it is killed, and this process goes on
//! from what it has left. The course is the same each time, so that its points have numbers. Some
//! of them are run, and all with `TIDEMILL_LONG`.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use super::model::Model;
use super::program::{Life, PARTS, Part, Program};
use crate::storage::killing::{KillingDisk, Point};
use crate::storage::{Disk, Storage};

/// Set in the child: where it works, and the number of the point at which it ends.
const DIRECTORY: &str = "TIDEMILL_KILL_DIRECTORY";
const POINT: &str = "TIDEMILL_KILL_POINT";

/// Batches of the course: several chains of checkpoints begin, and old ones are removed.
const BATCHES: usize = 11;
const LINES: u64 = 5;

/// What has to be among the points, so that none is missed by a course that has become shorter.
const NAMES: [&str; 30] = [
    "create .rows-.pending",
    "create began.tmp",
    "create checkpoint-.tmp",
    "create directory state",
    "create life.tmp",
    "list out",
    "list state",
    "measure began",
    "measure checkpoint-",
    "measure checkpoint-.copy",
    "measure life",
    "read checkpoint-",
    "read checkpoint-.copy",
    "remove checkpoint-",
    "remove checkpoint-.copy",
    "rename to began",
    "rename to checkpoint-",
    "rename to checkpoint-.copy",
    "rename to life",
    "rename to rows-",
    "sync .rows-.pending",
    "sync began.tmp",
    "sync checkpoint-.tmp",
    "sync directory out",
    "sync directory state",
    "sync life.tmp",
    "write .rows-.pending",
    "write began.tmp",
    "write checkpoint-.tmp",
    "write life.tmp",
];

/// The program up to its end, unless it is killed before.
fn run(disk: KillingDisk, directory: &Path, model: &mut Model) {
    let mut program = Program::new(Arc::new(disk), directory);
    program.parts = [&PARTS[..], &[Part::Bulk]].concat();
    // So that a commit has two files.
    program.every = 2;
    let mut life = Life::begin(&program, model).unwrap();
    while model.len() < BATCHES {
        life.tick(LINES, model).unwrap();
    }
    life.end(true, model).unwrap();
    model.check_files(&Disk::Shared, &program.out());
}

fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    Disk::Shared.create_directory(&directory.path().join("out")).unwrap();
    directory
}

/// The course without an accident, and the points that it comes by.
fn undisturbed() -> (Model, Vec<Point>) {
    let (directory, disk, mut model) = (directory(), KillingDisk::new(None), Model::default());
    run(disk.clone(), directory.path(), &mut model);
    let points = disk.points();
    let names: BTreeSet<&str> = points.iter().map(|point| point.name.as_str()).collect();
    assert!(names.iter().eq(&NAMES), "{names:#?}");
    (model, points)
}

#[test]
fn a_kill_at_every_point() {
    if let Ok(point) = std::env::var(POINT) {
        let directory = std::env::var_os(DIRECTORY).unwrap();
        let disk = KillingDisk::new(Some(point.parse().unwrap()));
        return run(disk, Path::new(&directory), &mut Model::default());
    }
    let (model, points) = undisturbed();
    let step = if std::env::var_os("TIDEMILL_LONG").is_some() { 1 } else { 17 };
    let next = Mutex::new((0..points.len()).step_by(step));
    let kill_each = || {
        while let Some(number) = { next.lock().unwrap().next() } {
            kill_at(number, &points[number], &mut model.fork());
        }
    };
    std::thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(kill_each))));
}

/// Has a child killed at a point, and goes on from what it has left.
fn kill_at(number: usize, point: &Point, model: &mut Model) {
    let directory = directory();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["a_kill_at_every_point", "--test-threads=1"])
        .env(POINT, number.to_string())
        .env(DIRECTORY, directory.path())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(child.signal(), Some(9), "{point:?}: {child}");
    // Whatever panics says where the child was killed.
    eprintln!("killed {number}: {point:?}");
    run(KillingDisk::new(None), directory.path(), model);
}
