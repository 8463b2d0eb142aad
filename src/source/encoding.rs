//! Text that is not UTF-8: decoded as it comes, before it is cut into lines.
//!
//! Invariant: from a text it can be told of how many bytes it was decoded, so that places in files
//! are exact. That holds for encodings of one byte for each character and for UTF-16, which are
//! those that there are; bytes that stand for nothing become U+FFFD one by one.

use memchr::memchr_iter;

use crate::error::{Error, ErrorKind, Result};

/// How text is encoded: UTF-8, unless a source's [options](super::LineOptions) say otherwise.
///
/// ```
/// use tidemill::prelude::*;
/// use tidemill::{Encoding, Files, LineOptions};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("places");
/// std::fs::write(&path, b"\xC5s\nEtn\xE9\n")?;
/// let ssc = StreamingContext::builder("places").build()?;
/// let options = LineOptions { encoding: Encoding::named("latin1")?, ..LineOptions::default() };
/// let places = ssc.text_stream(Files::open([&path])?, options)?.collect(16);
/// ssc.start()?;
/// ssc.await_termination()?;
/// assert!(places.iter().flat_map(|(_, places)| places).eq(["Ås", "Etné"]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoding(Option<Other>);

/// The order of the two bytes of a unit of UTF-16.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    /// That of a text that begins so: the little one, unless a byte-order mark says otherwise.
    pub(super) fn of(head: &[u8]) -> Order {
        if head.starts_with(&[0xFE, 0xFF]) { Order::Big } else { Order::Little }
    }
}

impl Encoding {
    /// UTF-8.
    pub const UTF_8: Encoding = Encoding(None);

    /// The encoding that goes by this name on the web, in upper or lower case: `utf-8`, `utf-16`,
    /// `utf-16le`, `utf-16be`, or one of a byte for each character, such as `latin1` (which is
    /// `windows-1252`), `iso-8859-2`, `windows-1251`, `koi8-r` or `macintosh`.
    ///
    /// A byte-order mark says in which order the bytes of `utf-16` are; without one, and as
    /// `utf-16le`, it is the little-endian one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for a name that nobody knows, for an encoding of several bytes for
    /// some characters, and for any but UTF-8 in a build without the feature `encoding`.
    pub fn named(name: &str) -> Result<Encoding> {
        let refused = |reason| Err(Error::new(ErrorKind::Config, format!("{name:?} {reason}")));
        if ["utf-8", "utf8"].iter().any(|own| name.trim().eq_ignore_ascii_case(own)) {
            return Ok(Encoding::UTF_8);
        }
        match Other::named(name) {
            Ok(other) => Ok(Encoding(other)),
            Err(reason) => refused(reason),
        }
    }

    pub(super) fn of(other: Other) -> Encoding {
        Encoding(Some(other))
    }

    pub(super) fn other(self) -> Option<Other> {
        self.0
    }

    /// Whether a text is full of bytes that are 0.
    pub(super) fn is_wide(self) -> bool {
        self.0.is_some_and(|other| other.is_wide())
    }

    /// Of how many bytes this text was decoded.
    pub(super) fn bytes_of(self, text: &[u8]) -> usize {
        self.0.map_or(text.len(), |other| other.bytes_of(text))
    }

    /// Where the first line ends after `from`, which is the start of a line, with its line end.
    pub(super) fn line_end(self, text: &[u8], from: usize) -> Option<usize> {
        let feeds = memchr_iter(b'\n', &text[from..]).map(|at| from + at);
        if !self.is_wide() {
            return feeds.map(|at| at + 1).next();
        }
        let order = self.0.and_then(|other| other.order()).unwrap_or_else(|| Order::of(text));
        let mut units = feeds.map(|at| at - at % 2);
        let feed = match order {
            Order::Little => [b'\n', 0],
            Order::Big => [0, b'\n'],
        };
        units.find(|&at| text[at..].starts_with(&feed)).map(|at| at + 2)
    }

    /// The text of bytes that begin an input, or all of it.
    pub(super) fn decode(self, bytes: &[u8]) -> String {
        self.decode_from(bytes, 0)
    }

    /// The same from a place between two characters on.
    pub(super) fn decode_from(self, bytes: &[u8], from: usize) -> String {
        let rest = &bytes[from..];
        match self.0 {
            None => String::from_utf8_lossy(rest).into_owned(),
            Some(other) => {
                let order = other.order().unwrap_or_else(|| Order::of(bytes));
                let mut text = vec![0; room_for(rest.len())];
                let (len, _) = other.decode(rest, order, &mut text);
                String::from_utf8_lossy(&text[..len]).into_owned()
            }
        }
    }
}

/// Bytes of text that so many bytes may decode to; the decoders want some to spare.
pub(super) fn room_for(bytes: usize) -> usize {
    3 * bytes + SPARE_BYTES
}

/// The most bytes whose text fits into this room.
pub(super) fn bytes_for(room: usize) -> usize {
    room.saturating_sub(SPARE_BYTES) / 3
}

const SPARE_BYTES: usize = 16;

#[cfg(not(feature = "encoding"))]
pub(super) use absent::Other;
#[cfg(feature = "encoding")]
pub(super) use present::Other;

#[cfg(feature = "encoding")]
mod present {
    use encoding_rs::{CoderResult, UTF_16BE, UTF_16LE};

    use super::Order;

    /// An encoding that is not UTF-8.
    #[derive(Copy, Clone, Debug, PartialEq, Eq)]
    pub(in crate::source) enum Other {
        /// One byte for each character.
        Narrow(&'static encoding_rs::Encoding),
        /// UTF-16, in this order or in that which the text begins with.
        Wide(Option<Order>),
    }

    impl Other {
        /// `None` for UTF-8, or else why there is none.
        pub(super) fn named(name: &str) -> Result<Option<Other>, String> {
            let Some(encoding) = encoding_rs::Encoding::for_label(name.as_bytes()) else {
                return Err("is no encoding that has a name on the web".to_owned());
            };
            let is_named_so = |own: &str| name.trim().eq_ignore_ascii_case(own);
            if encoding == UTF_16LE {
                // A mark says otherwise where the name leaves it open.
                return Ok(Some(Other::Wide(is_named_so("utf-16le").then_some(Order::Little))));
            }
            if encoding == UTF_16BE {
                return Ok(Some(Other::Wide(Some(Order::Big))));
            }
            if encoding == encoding_rs::UTF_8 {
                return Ok(None);
            }
            if !encoding.is_single_byte() {
                let reason = "has several bytes for some characters: only UTF-8, UTF-16 and \
                              encodings of one byte are read; iconv makes UTF-8 of all others";
                return Err(reason.to_owned());
            }
            Ok(Some(Other::Narrow(encoding)))
        }

        pub(super) fn is_wide(self) -> bool {
            matches!(self, Other::Wide(_))
        }

        pub(in crate::source) fn order(self) -> Option<Order> {
            match self {
                Other::Narrow(_) => Some(Order::Little),
                Other::Wide(order) => order,
            }
        }

        pub(super) fn bytes_of(self, text: &[u8]) -> usize {
            let is_start = |byte: &&u8| **byte & 0xC0 != 0x80;
            let characters = text.iter().filter(is_start).count();
            match self {
                Other::Narrow(_) => characters,
                // Characters of four bytes are two units.
                Other::Wide(_) => {
                    2 * (characters + text.iter().filter(|byte| **byte >= 0xF0).count())
                }
            }
        }

        /// How many of these bytes are whole characters; of a text that goes on.
        pub(in crate::source) fn whole(self, bytes: &[u8], order: Order) -> usize {
            if let Other::Narrow(_) = self {
                return bytes.len();
            }
            let even = bytes.len() & !1;
            let high = match order {
                Order::Little => even.wrapping_sub(1),
                Order::Big => even.wrapping_sub(2),
            };
            // The first unit of a pair.
            let is_open = bytes.get(high).is_some_and(|byte| (0xD8..=0xDB).contains(byte));
            even - if even > 0 && is_open { 2 } else { 0 }
        }

        /// Decodes bytes into [room](super::room_for) for their text. Gives its length, and whether
        /// anything of it is U+FFFD for what stood for nothing.
        pub(in crate::source) fn decode(
            self,
            bytes: &[u8],
            order: Order,
            into: &mut [u8],
        ) -> (usize, bool) {
            let encoding = match (self, order) {
                (Other::Narrow(encoding), _) => encoding,
                (Other::Wide(_), Order::Little) => UTF_16LE,
                (Other::Wide(_), Order::Big) => UTF_16BE,
            };
            let mut decoder = encoding.new_decoder_without_bom_handling();
            let (result, read, len, has_bad) = decoder.decode_to_utf8(bytes, into, true);
            debug_assert!(result == CoderResult::InputEmpty && read == bytes.len());
            (len, has_bad)
        }
    }
}

/// There is none but UTF-8.
#[cfg(not(feature = "encoding"))]
mod absent {
    use super::Order;

    #[derive(Copy, Clone, Debug, PartialEq, Eq)]
    pub(in crate::source) enum Other {}

    impl Other {
        pub(super) fn named(_: &str) -> Result<Option<Other>, String> {
            Err("cannot be read: this build lacks `encoding`".to_owned())
        }

        pub(super) fn is_wide(self) -> bool {
            match self {}
        }

        pub(in crate::source) fn order(self) -> Option<Order> {
            match self {}
        }

        pub(super) fn bytes_of(self, _: &[u8]) -> usize {
            match self {}
        }

        pub(in crate::source) fn whole(self, _: &[u8], _: Order) -> usize {
            match self {}
        }

        pub(in crate::source) fn decode(self, _: &[u8], _: Order, _: &mut [u8]) -> (usize, bool) {
            match self {}
        }
    }
}

#[cfg(all(test, feature = "encoding"))]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(Encoding::named("UTF-8").unwrap(), Encoding::UTF_8);
        let wide = |order| Encoding(Some(Other::Wide(order)));
        assert_eq!(Encoding::named("utf-16").unwrap(), wide(None));
        assert_eq!(Encoding::named("UTF-16LE").unwrap(), wide(Some(Order::Little)));
        assert_eq!(Encoding::named("utf-16be").unwrap(), wide(Some(Order::Big)));
        let latin1 = Encoding(Some(Other::Narrow(encoding_rs::WINDOWS_1252)));
        for name in ["latin1", "ISO-8859-1", "windows-1252", " latin1 "] {
            assert_eq!(Encoding::named(name).unwrap(), latin1, "{name}");
        }
        for (name, part) in
            [("latin", "no encoding"), ("", "no encoding"), ("shift_jis", "several bytes")]
        {
            let error = Encoding::named(name).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    /// Text in UTF-16, and what is none.
    fn wide(order: Order) -> (Vec<u8>, String) {
        let (low, high, a) = (0xDC00_u16, 0xD83C_u16, u16::from(b'a'));
        let units: Vec<u16> = "\u{FEFF}é\n\u{1F30A}\u{2028}"
            .encode_utf16()
            .chain([low, a, high, a, high, high, low, a])
            .collect();
        let bytes = units.iter().flat_map(|unit| match order {
            Order::Little => unit.to_le_bytes(),
            Order::Big => unit.to_be_bytes(),
        });
        (bytes.collect(), String::from_utf16_lossy(&units))
    }

    #[test]
    fn bytes_of_decoded_text_can_be_counted() {
        for order in [Order::Little, Order::Big] {
            let (bytes, text) = wide(order);
            let encoding = Encoding::named("utf-16").unwrap();
            assert_eq!(encoding.decode(&bytes), text);
            assert_eq!(encoding.bytes_of(text.as_bytes()), bytes.len());
            assert_eq!(encoding.line_end(&bytes, 0), Some(6));
            assert_eq!(encoding.line_end(&bytes, 6), None);
        }
        let all: Vec<u8> = (0..=255).collect();
        for name in ["latin1", "iso-8859-2", "iso-8859-3", "windows-1253", "koi8-r"] {
            let encoding = Encoding::named(name).unwrap();
            let text = encoding.decode(&all);
            assert_eq!(text.chars().count(), 256, "{name}");
            assert_eq!(encoding.bytes_of(text.as_bytes()), 256, "{name}");
            assert_eq!(encoding.line_end(&all, 0), Some(11));
        }
    }

    #[test]
    fn whole_characters_wherever_a_text_is_cut() {
        for order in [Order::Little, Order::Big] {
            let (bytes, text) = wide(order);
            let other = Other::Wide(None);
            for cut in 0..=bytes.len() {
                let whole = other.whole(&bytes[..cut], order);
                assert!(cut - whole < 4, "{cut}");
                let parts = [&bytes[..whole], &bytes[whole..]].map(|part| {
                    let mut text = vec![0; room_for(part.len())];
                    let (len, _) = other.decode(part, order, &mut text);
                    String::from_utf8(text[..len].to_vec()).unwrap()
                });
                assert_eq!(parts.concat(), text, "cut at {cut}");
            }
        }
    }
}
