//! An enum has no columns.

use tidemill::prelude::*;

#[derive(Record)]
enum Event {
    Login { user: String },
    Logout,
}
