//! Fields whose columns would have the same name, and attributes that nobody knows.

use tidemill::prelude::*;

#[derive(Record)]
#[record(keys)]
struct Session {
    user: String,
    #[record(key)]
    r#type: i64,
    #[allow(non_snake_case)]
    User: String,
}
