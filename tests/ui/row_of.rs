//! A row needs to be cloned.

use tidemill::prelude::*;

struct Handle(i64);

#[derive(Record)]
struct Session {
    user: String,
    handle: Row<Handle>,
}
