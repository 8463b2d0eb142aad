//! Panics on purpose, which leave no message among the tests' own.

use std::sync::Once;

const PURPOSE: &str = "on purpose";

/// What a closure does that shall fail.
pub(crate) fn panic_on_purpose() -> ! {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if panic.payload().downcast_ref::<&str>() != Some(&PURPOSE) {
                others(panic);
            }
        }));
    });
    std::panic::panic_any(PURPOSE)
}
