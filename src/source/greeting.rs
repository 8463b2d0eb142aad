//! The greeting of a client that says who it is: a first line of fields, before its data.
//!
//! ```text
//! TIDEMILL/1 secret=SECRET producer=ID from=OFFSET⏎
//! ```
//!
//! Fields are `key=value`, in any order, with one space before each. What does not begin so is
//! data.

use super::secret::Secret;

/// How a greeting begins. No greeting is of another version yet.
const BEGIN: &[u8] = b"TIDEMILL/";
const VERSION: &str = "TIDEMILL/1";

/// Bytes of the longest greeting.
pub(super) const GREETING_BYTES_MAX: usize = 1024;

/// No stream is longer: what comes after it can still be counted.
pub(super) const OFFSET_MAX: u64 = 1 << 62;

/// Bytes of the longest producer id: those of a UUID, twice.
const ID_BYTES_MAX: usize = 64;

/// What a client says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Greeting {
    /// The secret that it shares with the server, if it says one.
    pub(super) secret: Option<Secret>,
    /// The id of the producer, if it is one.
    pub(super) producer: Option<String>,
    /// The offset in the producer's stream from which on it still has its data.
    pub(super) from: u64,
}

/// What the first bytes of a client are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The next bytes will tell.
    Unfinished,
    Data,
    /// A greeting of so many bytes, with its line end.
    Greeting(Greeting, usize),
    /// A greeting that is refused, and why.
    Wrong(String),
}

/// Looks at the first bytes of a client.
pub(super) fn hear(bytes: &[u8]) -> Heard {
    let known = bytes.len().min(BEGIN.len());
    if bytes[..known] != BEGIN[..known] {
        return Heard::Data;
    }
    match bytes.iter().position(|&byte| byte == b'\n') {
        Some(end) => match parse(&bytes[..end]) {
            Ok(greeting) => Heard::Greeting(greeting, end + 1),
            Err(reason) => Heard::Wrong(reason),
        },
        None if bytes.len() < GREETING_BYTES_MAX => Heard::Unfinished,
        None => Heard::Wrong(format!("a greeting has at most {GREETING_BYTES_MAX} bytes")),
    }
}

fn parse(line: &[u8]) -> Result<Greeting, String> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = std::str::from_utf8(line).map_err(|_| "a greeting is UTF-8".to_owned())?;
    let mut fields = line.split(' ');
    let version = fields.next().unwrap_or_default();
    if version != VERSION {
        // It may be a secret by mistake.
        let is_other = version[BEGIN.len()..].bytes().all(|byte| byte.is_ascii_digit());
        let other = if is_other { format!(", and not with {version:?}") } else { String::new() };
        return Err(format!("a greeting begins with {VERSION} and a space{other}"));
    }
    let (mut secret, mut producer, mut from) = (None, None, None);
    for field in fields {
        let name = field.split('=').next().unwrap_or_default();
        let known = match field.split_once('=') {
            Some(("secret", said)) => {
                let said = Secret::new(said).map_err(|error| error.to_string())?;
                secret.replace(said).is_none()
            }
            Some(("producer", id)) => producer.replace(id_of(id)?).is_none(),
            Some(("from", offset)) => from.replace(offset_of(offset)?).is_none(),
            // Its value may be a secret.
            _ => return Err(format!("a greeting has no field {name:?}")),
        };
        if !known {
            return Err(format!("a greeting has {name} once"));
        }
    }
    Ok(Greeting { secret, producer, from: from.unwrap_or(0) })
}

fn id_of(id: &str) -> Result<String, String> {
    let is_id = (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    if is_id {
        return Ok(id.to_owned());
    }
    Err(format!(
        "a producer's id is of 1 to {ID_BYTES_MAX} ASCII characters without white space, and not \
         {id:?}"
    ))
}

fn offset_of(offset: &str) -> Result<u64, String> {
    let digits = offset.bytes().all(|byte| byte.is_ascii_digit());
    let number = offset.parse().ok().filter(|&number| digits && number <= OFFSET_MAX);
    number.ok_or_else(|| format!("from is a number of bytes up to 2^62, and not {offset:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_is_known_by_its_first_bytes() {
        for data in ["a", "T1", "tidemill/1 producer=a\n", "TIDEMILL 1\n", "\n"] {
            assert_eq!(hear(data.as_bytes()), Heard::Data, "{data:?}");
        }
        let line = "TIDEMILL/1 from=17 producer=web-1:a\r\n";
        for len in 0..line.len() {
            assert_eq!(hear(&line.as_bytes()[..len]), Heard::Unfinished, "{len}");
        }
        let producer = Some("web-1:a".to_owned());
        let greeting = Greeting { secret: None, producer, from: 17 };
        let data = format!("{line}data\n");
        assert_eq!(hear(data.as_bytes()), Heard::Greeting(greeting, line.len()));
        let nobody = Heard::Greeting(Greeting::default(), 11);
        assert_eq!(hear(b"TIDEMILL/1\n"), nobody);
    }

    /// Whatever is wrong with the line that it is in.
    #[test]
    fn no_message_has_the_secret() {
        let greeting = match hear(b"TIDEMILL/1 secret=hush from=1\n") {
            Heard::Greeting(greeting, _) => greeting,
            heard => panic!("{heard:?}"),
        };
        assert!(greeting.secret == Secret::new("hush").ok() && greeting.from == 1);
        assert!(!format!("{greeting:?}").contains("hush"));
        for line in [
            "TIDEMILL/secret=hush\n",
            "TIDEMILL/1 Secret=hush\n",
            "TIDEMILL/1 secret=hush secret=hush\n",
            "TIDEMILL/1 secret=hush from=x\n",
            "TIDEMILL/1 secret=hush\u{1}\n",
        ] {
            match hear(line.as_bytes()) {
                Heard::Wrong(reason) => assert!(!reason.contains("hush"), "{line:?}: {reason}"),
                heard => panic!("{line:?}: {heard:?}"),
            }
        }
    }

    #[test]
    fn wrong_greetings_say_what_is_wrong() {
        let wrong = |line: &str, part: &str| match hear(line.as_bytes()) {
            Heard::Wrong(reason) => assert!(reason.contains(part), "{line:?}: {reason}"),
            heard => panic!("{line:?}: {heard:?}"),
        };
        wrong("TIDEMILL/2 producer=a\n", "\"TIDEMILL/2\"");
        wrong("TIDEMILL/1 producer=\n", "1 to 64 ASCII characters");
        wrong("TIDEMILL/1 producer=ä\n", "ASCII");
        wrong(&format!("TIDEMILL/1 producer={}\n", "x".repeat(65)), "1 to 64");
        wrong("TIDEMILL/1 producer=a producer=b\n", "once");
        wrong("TIDEMILL/1 producer=a  from=1\n", "no field \"\"");
        wrong("TIDEMILL/1 colour=a\n", "no field \"colour\"");
        wrong("TIDEMILL/1 secret=a secret=b\n", "secret once");
        wrong("TIDEMILL/1 secret=\n", "1 to 256 ASCII characters");
        for from in ["", "-1", "+1", "x", "18446744073709551615", "99999999999999999999"] {
            wrong(&format!("TIDEMILL/1 from={from}\n"), "up to 2^62");
        }
        wrong(&format!("TIDEMILL/1 producer={}", "x".repeat(1024)), "at most 1024 bytes");
    }
}
