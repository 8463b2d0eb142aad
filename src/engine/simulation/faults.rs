//! Each operation that checkpoints and the file sink do to their disk fails in turn, once in each
//! way: the program goes on or says why not, and no line is lost or there twice.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::assert_disk_failed;
use super::model::Model;
use super::program::{Life, Program};
use crate::error::Result;
use crate::storage::faulty::{Fault, FaultyDisk, OPERATIONS};

/// The program up to its end, or to the first error that it is told.
fn run(program: &Program, batches: usize, model: &mut Model) -> Result<()> {
    let mut life = Life::begin(program, model)?;
    while model.len() < batches {
        if let Err(error) = life.tick(5, model) {
            // A crash: what is on disk is what there is.
            let _ = life.end(false, model);
            return Err(error);
        }
    }
    life.end(true, model)
}

#[test]
fn every_operation_of_a_program_fails_in_turn() {
    let mut failed = BTreeSet::new();
    // Each operation in one way, and in all of them if there is time.
    let step = if std::env::var_os("TIDEMILL_LONG").is_some() { 1 } else { Fault::ALL.len() };
    for (first, fault) in Fault::ALL.into_iter().enumerate() {
        for at in (first as u64 % step as u64..).step_by(step) {
            let (disk, mut model) = (FaultyDisk::new(at), Model::default());
            let mut program = Program::new(Arc::new(disk.clone()), Path::new("/"));
            program.every = 2;
            // The life in which something fails finds a checkpoint, and a file that is in none.
            let mut life = Life::begin(&program, &mut model).unwrap();
            (0..3).for_each(|_| life.tick(5, &mut model).unwrap());
            life.end(false, &mut model).unwrap();
            disk.fail_at(at, false, fault);
            let ran = run(&program, 8, &mut model);
            let Some(operation) = disk.failed() else {
                ran.expect("nothing has failed");
                break;
            };
            failed.insert(operation);
            // Whatever panics says what had failed.
            eprintln!("{operation} {at} has failed: {fault:?}");
            if let Err(error) = ran {
                assert_disk_failed(&error, &disk);
            }
            disk.fail(0);
            disk.crash();
            run(&program, 10, &mut model).unwrap();
            model.check_files(&disk, &program.out());
        }
    }
    assert!(failed.into_iter().eq(OPERATIONS));
}
