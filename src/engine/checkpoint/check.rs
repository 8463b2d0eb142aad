//! Reads files back that were written long ago, so that damage is known while what they hold is
//! still in memory.

use super::chain::Link;
use super::format;
use super::store::{OTHER_LIFE, Store};
use crate::error::{Error, ErrorKind, Result};

impl Store {
    /// Reads back the file that was written or read longest ago, and marks its chain where it is
    /// not what was written. Called once for each checkpoint that is written, so each of the files
    /// that are kept is read once in as many checkpoints as there are files.
    pub(super) fn check_next(&mut self) -> Option<Result<()>> {
        let chains = self.chains.iter().enumerate().filter(|(_, chain)| !chain.is_damaged);
        let links = chains.flat_map(|(at, chain)| (0..chain.links.len()).map(move |n| (at, n)));
        let turn = |&(chain, link): &(usize, usize)| {
            let Link { turn, number, .. } = self.chains[chain].links[link];
            (turn, number)
        };
        let (chain, link) = links.min_by_key(turn)?;
        Some(self.check_link(chain, link))
    }

    /// Reads back all that the next checkpoint would stand on, up to what is damaged, and says how
    /// many files that is.
    pub(super) fn check_newest(&mut self) -> (u64, Result<()>) {
        let newest = self.chains.len().saturating_sub(1);
        let is_damaged = self.chains.last().is_none_or(|chain| chain.is_damaged);
        let links = if is_damaged { 0 } else { self.chains[newest].links.len() };
        for link in 0..links {
            if let Err(error) = self.check_link(newest, link) {
                return (link as u64 + 1, Err(error));
            }
        }
        (links as u64, Ok(()))
    }

    /// Whether what the next checkpoint would stand on is known to be damaged.
    pub(super) fn is_newest_damaged(&self) -> bool {
        self.chains.last().is_some_and(|chain| chain.is_damaged)
    }

    fn check_link(&mut self, chain: usize, link: usize) -> Result<()> {
        let checked = self.check_file(chain, link);
        self.chains[chain].links[link].turn = self.next_turn();
        self.chains[chain].is_damaged |= checked.is_err();
        checked
    }

    fn check_file(&self, chain: usize, link: usize) -> Result<()> {
        let link = &self.chains[chain].links[link];
        let copy = link.has_copy.then(|| self.copy_path(link.number));
        for path in [Some(self.path(link.number)), copy].into_iter().flatten() {
            let damaged = |what: &str| {
                let message = format!("checkpoint {}: {what}", path.display());
                Error::new(ErrorKind::Checkpoint, message)
            };
            let bytes = self.storage.read_whole(&path).map_err(|error| {
                let message = format!("cannot read checkpoint {}", path.display());
                Error::caused(ErrorKind::Checkpoint, message, error)
            })?;
            let header = format::check(&bytes).map_err(|error| damaged(&error.to_string()))?;
            if self.life.is_some_and(|life| life != header.stamp.life) {
                return Err(damaged(OTHER_LIFE));
            }
            if (header.number, header.stamp.id) != (link.number, link.id) {
                return Err(damaged("it is another one"));
            }
        }
        Ok(())
    }
}
