//! Operators that remember: what they keep from batch to batch, and how a failed batch is undone.

use std::any::Any;
use std::sync::Arc;

use super::Changes;
use crate::error::{Error, ErrorKind, Result};
use crate::memory::MemoryCharge;
use crate::record::batch::AnyChunk;
use crate::time::Time;

/// Keeps what batches bring for the batches to come.
///
/// A turn changes the state for one batch; then the batch is committed or rolled back as a whole,
/// so that a failed batch leaves nothing behind.
pub(crate) trait Stateful: Send + Sync + 'static {
    /// What is kept.
    type State: Send + 'static;

    fn state(&self) -> Self::State;

    /// How it runs, for `explain`.
    fn way(&self) -> &'static str;

    /// Takes in the parent's batch, if it has one, and gives a batch out if one is due.
    fn take_turn(&self, state: &mut Self::State, turn: Turn<'_>) -> Result<()>;

    /// The batch has succeeded.
    fn commit(&self, state: &mut Self::State);

    /// The batch has failed: the state becomes what it was before. The turn may have ended anywhere
    /// where something of the user's runs.
    fn roll_back(&self, state: &mut Self::State);

    /// The name that the program gave it, under which it is saved; without one it goes by the
    /// stream's.
    fn saved_name(&self) -> Option<&str> {
        None
    }

    /// Its slides between two checkpoints unless the program says otherwise; without an answer as
    /// many as take ten seconds.
    fn checkpoint_every(&self) -> Option<u64> {
        None
    }

    /// How much is kept.
    fn size(&self, _state: &mut Self::State) -> StateSize {
        StateSize::default()
    }

    /// The form in which it is saved, which has to be the same when it is loaded.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Checkpoint`], with the type that cannot be saved.
    fn saved_as(&self) -> Result<String> {
        Err(Error::new(ErrorKind::Checkpoint, "it cannot be saved"))
    }

    /// Keeps from now on what it takes to tell what has changed. Called once, before the first
    /// turn, after [`load`](Self::load) if there was something to load.
    fn track_changes(&self, _state: &mut Self::State) {}

    /// Appends what has changed since the last call, or since `track_changes`. Called between two
    /// batches; nothing of the user's runs in it but what saves a type.
    fn save(&self, _state: &mut Self::State, _changes: &mut Changes) -> Result<()> {
        Ok(())
    }

    /// The same, for what can be read beside the batches that follow: `None` if there is nothing of
    /// the kind, or this time not. What is gathered is the state of now, whenever that is done.
    fn save_beside(&self, _state: &mut Self::State) -> Option<Gather> {
        None
    }

    /// What reads all that is remembered, bit by bit, while batches go on: of each entry what it is
    /// at some moment until then, so that it stands for all there is once what has changed since
    /// the save before this call is put over it. `None` where [`save_all`](Self::save_all) is all
    /// that it takes.
    fn scan(&self, _state: &mut Self::State) -> Option<Gather> {
        None
    }

    /// As [`save`](Self::save), but all that is remembered, from memory, whatever was saved before.
    /// Called between two batches, and what is given then reads the state of now beside those that
    /// follow. Where that fails, the next save is one of all again.
    fn save_all(&self, _state: &mut Self::State) -> Result<Gather> {
        Ok(Box::new(|| Ok(Changes::whole())))
    }

    /// Makes a fresh state what was saved: all entries that were put and not removed since, each
    /// once, in the order of their numbers.
    fn load(&self, _state: &mut Self::State, _saved: &Changes) -> Result<()> {
        Ok(())
    }
}

/// Gathers what has changed, on a thread beside the batch loop. Where it fails, or is dropped
/// before, all that has changed is still to be saved.
pub(crate) type Gather = Box<dyn FnOnce() -> Result<Changes> + Send>;

/// How much an operator keeps.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct StateSize {
    /// Keys that have a state.
    pub keys: usize,
    /// Bytes of memory.
    pub bytes: usize,
}

/// What a stateful operator is given for one batch.
pub(crate) struct Turn<'a> {
    /// The number of the batch, from 1.
    pub(crate) now: u64,
    /// Its time.
    pub(crate) time: Time,
    /// The parent's batch, unless it has none.
    pub(crate) chunks: Option<&'a [AnyChunk]>,
    /// Where to put the operator's own batch, if one is due.
    pub(crate) out: Option<&'a mut Vec<AnyChunk>>,
    /// To be set where the operator has no batch, rather than an empty one.
    pub(crate) is_absent: &'a mut bool,
    /// What the operator gave out last, to be written again when nobody else holds it.
    pub(crate) last: Option<AnyChunk>,
    /// Where to ask for memory that is taken beyond what was there before the turn.
    pub(crate) memory: &'a MemoryCharge,
}

/// A state with its type forgotten.
pub(crate) type AnyState = Box<dyn Any + Send>;

/// A stateful operator with its types forgotten.
#[derive(Clone)]
pub(crate) struct AnyStateful(pub(crate) Arc<dyn ErasedStateful>);

impl AnyStateful {
    pub(crate) fn new(operator: impl Stateful) -> AnyStateful {
        AnyStateful(Arc::new(operator))
    }
}

/// [`Stateful`] as the executor calls it.
pub(crate) trait ErasedStateful: Send + Sync {
    fn state(&self) -> AnyState;
    fn way(&self) -> &'static str;
    fn take_turn(&self, state: &mut AnyState, turn: Turn<'_>) -> Result<()>;
    fn commit(&self, state: &mut AnyState);
    fn roll_back(&self, state: &mut AnyState);
    fn saved_name(&self) -> Option<&str>;
    fn checkpoint_every(&self) -> Option<u64>;
    fn size(&self, state: &mut AnyState) -> StateSize;
    fn saved_as(&self) -> Result<String>;
    fn track_changes(&self, state: &mut AnyState);
    fn save(&self, state: &mut AnyState, changes: &mut Changes) -> Result<()>;
    fn save_beside(&self, state: &mut AnyState) -> Option<Gather>;
    fn scan(&self, state: &mut AnyState) -> Option<Gather>;
    fn save_all(&self, state: &mut AnyState) -> Result<Gather>;
    fn load(&self, state: &mut AnyState, saved: &Changes) -> Result<()>;
}

fn typed<S: Stateful>(state: &mut AnyState) -> &mut S::State {
    state.downcast_mut().expect("an operator gets its own state only")
}

impl<S: Stateful> ErasedStateful for S {
    fn state(&self) -> AnyState {
        Box::new(Stateful::state(self))
    }

    fn way(&self) -> &'static str {
        Stateful::way(self)
    }

    fn take_turn(&self, state: &mut AnyState, turn: Turn<'_>) -> Result<()> {
        Stateful::take_turn(self, typed::<S>(state), turn)
    }

    fn commit(&self, state: &mut AnyState) {
        Stateful::commit(self, typed::<S>(state));
    }

    fn roll_back(&self, state: &mut AnyState) {
        Stateful::roll_back(self, typed::<S>(state));
    }

    fn saved_name(&self) -> Option<&str> {
        Stateful::saved_name(self)
    }

    fn checkpoint_every(&self) -> Option<u64> {
        Stateful::checkpoint_every(self)
    }

    fn size(&self, state: &mut AnyState) -> StateSize {
        Stateful::size(self, typed::<S>(state))
    }

    fn saved_as(&self) -> Result<String> {
        Stateful::saved_as(self)
    }

    fn track_changes(&self, state: &mut AnyState) {
        Stateful::track_changes(self, typed::<S>(state));
    }

    fn save(&self, state: &mut AnyState, changes: &mut Changes) -> Result<()> {
        Stateful::save(self, typed::<S>(state), changes)
    }

    fn save_beside(&self, state: &mut AnyState) -> Option<Gather> {
        Stateful::save_beside(self, typed::<S>(state))
    }

    fn scan(&self, state: &mut AnyState) -> Option<Gather> {
        Stateful::scan(self, typed::<S>(state))
    }

    fn save_all(&self, state: &mut AnyState) -> Result<Gather> {
        Stateful::save_all(self, typed::<S>(state))
    }

    fn load(&self, state: &mut AnyState, saved: &Changes) -> Result<()> {
        Stateful::load(self, typed::<S>(state), saved)
    }
}
