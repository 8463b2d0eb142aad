//! State by key: what a program keeps for each key from batch to batch.

mod due;
mod map;
mod shared;
mod state;
mod table;
mod update;

pub(crate) use map::{MapSettings, MapWithState};
pub(crate) use shared::SharedTable;
pub use shared::StateHandle;
pub use state::State;
pub(crate) use update::{UpdateSettings, UpdateState};

use crate::error::{Error, ErrorKind, Result};
use crate::record::{Key, Record};

/// How a table of these keys and states is saved.
fn saved_as<K: Key, S: Record>() -> Result<String> {
    let form = |form: Option<String>, name: &str| {
        form.ok_or_else(|| {
            let message = format!(
                "{name} cannot be saved: derive Record for it, or carry it as Saved, by serde"
            );
            Error::new(ErrorKind::Checkpoint, message)
        })
    };
    let key = form(K::saved_as(), std::any::type_name::<K>())?;
    let state = form(S::saved_as(), std::any::type_name::<S>())?;
    Ok(format!("{key} -> {state}"))
}
