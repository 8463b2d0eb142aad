//! Checkpoints that are damaged between two lives: the next one goes on from the last one that is
//! whole, or says that there is none.

use std::path::Path;
use std::sync::Arc;

use super::Random;
use super::model::Model;
use super::program::{Life, Program};
use crate::error::ErrorKind;
use crate::storage::Storage;
use crate::storage::faulty::FaultyDisk;

/// Batches, each with a checkpoint that stands on the one before.
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

#[test]
fn a_start_from_damaged_checkpoints() {
    let (disk, mut model) = (FaultyDisk::new(1), Model::default());
    let program = Program::new(Arc::new(disk.clone()), Path::new("/"));
    let mut life = Life::begin(&program, &mut model).unwrap();
    for _ in 0..BATCHES {
        life.tick(LINES, &mut model).unwrap();
    }
    life.end(false, &mut model).unwrap();
    let paths = disk.list(&program.state()).unwrap();
    assert_eq!(paths.len(), BATCHES);
    let mut random = Random::new(7);
    for (index, path) in paths.iter().enumerate() {
        for _ in 0..20 {
            let disk = disk.copy();
            disk.overwrite(path, damaged(disk.read(path).unwrap(), &mut random));
            let program = Program::new(Arc::new(disk.clone()), Path::new("/"));
            let mut model = model.fork();
            let mut life = match Life::begin(&program, &mut model) {
                Ok(life) => life,
                Err(error) => {
                    assert_eq!((error.kind(), index), (ErrorKind::Checkpoint, 0), "{error}");
                    continue;
                }
            };
            assert_eq!(model.len(), index, "it goes on from the last one before {path:?}");
            assert!(index > 0, "nothing to go on from");
            while model.len() < BATCHES + 2 {
                life.tick(LINES, &mut model).unwrap();
            }
            life.end(true, &mut model).unwrap();
            model.check_files(&disk, &program.out());
        }
    }
}
