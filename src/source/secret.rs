//! A secret that senders share with a server, and say in their greeting.
//!
//! Invariant: it is in no message, and comparing it takes as long however much of it is right.

use std::fmt;
use std::hint::black_box;

use crate::error::{Error, ErrorKind, Result};

/// Bytes of the longest secret: a greeting has room for it beside all else.
pub(super) const SECRET_BYTES_MAX: usize = 256;

#[derive(Clone, Eq)]
pub(super) struct Secret(String);

impl Secret {
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for what cannot be said in a greeting. The message does not have it.
    pub(super) fn new(text: impl Into<String>) -> Result<Secret> {
        let text = text.into();
        let is_sayable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_sayable && (1..=SECRET_BYTES_MAX).contains(&text.len()) {
            return Ok(Secret(text));
        }
        let message = format!(
            "a secret is of 1 to {SECRET_BYTES_MAX} ASCII characters without white space; this one \
             has {} bytes",
            text.len()
        );
        Err(Error::new(ErrorKind::Config, message))
    }
}

impl PartialEq for Secret {
    /// Only whether the lengths are the same shows in the time.
    fn eq(&self, other: &Secret) -> bool {
        let (own, other) = (self.0.as_bytes(), other.0.as_bytes());
        let pairs = own.iter().zip(other);
        let differing = pairs.fold(0, |differing, (own, other)| black_box(differing | own ^ other));
        own.len() == other.len() && differing == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_secret_is_the_same() {
        let secret = |text: &str| Secret::new(text).unwrap();
        for other in ["", "s", "secre", "secret2", "Secret", "terces"] {
            assert!(other.is_empty() || secret("secret") != secret(other), "{other}");
        }
        assert_eq!(secret("secret"), secret("secret"));
        assert_eq!(format!("{:?}", secret("secret-1")), "Secret");
        for wrong in ["", "a b", "a\n", "ä", &"x".repeat(SECRET_BYTES_MAX + 1)] {
            let error = Secret::new(wrong).unwrap_err().to_string();
            assert!(error.contains("1 to 256") && !error.contains("a b"), "{error}");
        }
    }
}
