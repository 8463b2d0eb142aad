//! Lines that are nearly good, in every format: valid ones with characters changed, cut out,
//! doubled and moved. What is accepted is what a naive reading of the line gives, what is not is
//! rejected, and all columns have a row for each. `TIDEMILL_MUTATIONS=n` runs n rounds of seeds; a
//! failure names its seed.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use tidemill::Decoder;
use tidemill::prelude::*;

use crate::decoders::decode;
use crate::random::Random;

#[derive(Clone, Debug, PartialEq, Record)]
struct Place {
    street: String,
}

#[derive(Clone, Debug, PartialEq, Record)]
struct Reading {
    station: String,
    celsius: f64,
    count: Option<i64>,
    place: Place,
    is_valid: bool,
    at: Option<Timestamp>,
}

const NAMES: [&str; 6] = ["station", "celsius", "count", "place.street", "is_valid", "at"];

/// What a line's texts mean, if they mean something; an empty one is as none for an option.
fn reading(texts: [Option<String>; 6]) -> Option<Reading> {
    let [station, celsius, count, street, is_valid, at] = texts;
    let present = |text: Option<String>| text.filter(|text| !text.is_empty());
    Some(Reading {
        station: station?,
        celsius: celsius?.parse().ok().filter(|number: &f64| number.is_finite())?,
        count: match present(count) {
            Some(count) => Some(count.parse().ok()?),
            None => None,
        },
        place: Place { street: street? },
        is_valid: is_valid?.parse().ok()?,
        at: match present(at) {
            Some(at) => Some(at.parse().ok()?),
            None => None,
        },
    })
}

/// The texts of a good line.
fn texts(random: &mut Random) -> [String; 6] {
    let mut pick = |texts: &[&str]| texts[random.below(texts.len())].to_owned();
    [
        pick(&["oslo", "", "são paulo", "a\"b", "x,y", "漢\\", "\"\"", "🌊", "x;y", "a=b"]),
        pick(&["-3.5", "0", "1e3", "17.25", "123456789.123456789", "-0.0", "5e-324"]),
        pick(&["7", "-1", "", "9223372036854775807", "1234567890123", "00"]),
        pick(&["Main", "", "Karl Johans gate 22", "\t", "\"q\""]),
        pick(&["true", "false"]),
        pick(&["", "2024-02-29T13:55:36Z", "1970-01-01 00:00:00.5+01:00"]),
    ]
}

/// The line with up to three changes, one in four lines with none.
fn mutated(random: &mut Random, line: &str) -> String {
    const CHARACTERS: &[char] = &[
        '"', '\\', ',', ';', '=', ' ', ':', '{', '}', '[', ']', '\t', '\0', '\r', '-', '+', '.',
        'e', '0', '9', 'n', 'u', 'd', 'é', '漢', '🌊', '\u{feff}', '\u{7f}',
    ];
    let mut line: Vec<char> = line.chars().collect();
    for _ in 0..random.below(4) {
        let from = random.below(line.len() + 1);
        let longest = if random.below(4) == 0 { 40 } else { 3 };
        let to = (from + 1 + random.below(longest)).min(line.len());
        let part: Vec<char> = line[from.min(to)..to].to_vec();
        let character = CHARACTERS[random.below(CHARACTERS.len())];
        match random.below(6) {
            0 => line.insert(from, character),
            1 if from < line.len() => line[from] = character,
            2 => drop(line.drain(from.min(to)..to)),
            3 => drop(line.splice(from..from, part)),
            4 => {
                line.drain(from.min(to)..to);
                let to = random.below(line.len() + 1);
                drop(line.splice(to..to, part));
            }
            _ => line.truncate(from.max(1)),
        }
    }
    line.into_iter().collect()
}

/// Compares a format with a naive reading.
fn check<R: Record + Clone + std::fmt::Debug>(
    seed: u64,
    decoder: impl Decoder<R>,
    mut line: impl FnMut(&mut Random) -> String,
    naive: impl Fn(&str) -> Option<R>,
) {
    let mut random = Random::new(seed);
    let lines: Vec<String> = (0..200)
        .map(|_| {
            let line = line(&mut random);
            mutated(&mut random, &line)
        })
        .collect();
    let lines: Vec<&str> = lines.iter().map(|line| &line[..]).collect();
    let name = decoder.name();
    let (rows, rejects) = decode::<R>(decoder, &lines);
    let (mut rows, mut rejects) = (rows.into_iter(), rejects.into_iter());
    for line in lines {
        match naive(line) {
            // As text: zeros differ by their signs.
            Some(expected) => {
                let row = rows.next().map(|row| format!("{row:?}"));
                assert_eq!(row, Some(format!("{expected:?}")), "{name}, seed {seed}: {line:?}");
            }
            // A blank line is neither.
            None if line.trim_ascii().is_empty() => {}
            None => {
                let reject = rejects.next().map(|reject| reject.line);
                assert_eq!(reject.as_deref(), Some(line), "{name}, seed {seed}");
            }
        }
    }
    assert_eq!((rows.len(), rejects.len()), (0, 0), "{name}, seed {seed}: there are no more lines");
}

fn seeds() -> impl Iterator<Item = u64> {
    let rounds = std::env::var("TIDEMILL_MUTATIONS").map(|n| n.parse().expect("a number"));
    0..rounds.unwrap_or(8)
}

fn six(fields: Vec<String>) -> Option<[Option<String>; 6]> {
    let fields: [String; 6] = fields.try_into().ok()?;
    Some(fields.map(Some))
}

#[test]
fn delimited() {
    let naive = |line: &str| reading(six(line.split(';').map(str::to_owned).collect())?);
    for seed in seeds() {
        let line = |random: &mut Random| texts(random).map(|text| text.replace(';', ".")).join(";");
        check::<Reading>(seed, Delimited::new(b';'), line, naive);
    }
}

/// The fields of a line, character by character.
fn naive_csv(line: &str) -> Option<Vec<String>> {
    let (mut fields, mut rest) = (Vec::new(), line);
    loop {
        let mut field = String::new();
        if let Some(mut quoted) = rest.strip_prefix('"') {
            loop {
                let (text, after) = quoted.split_once('"')?;
                field.push_str(text);
                match after.strip_prefix('"') {
                    Some(after) => {
                        field.push('"');
                        quoted = after;
                    }
                    None => {
                        rest = after;
                        break;
                    }
                }
            }
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            field.push_str(&rest[..end]);
            rest = &rest[end..];
            if field.contains('"') {
                return None;
            }
        }
        fields.push(field);
        if rest.is_empty() {
            return Some(fields);
        }
        rest = rest.strip_prefix(',')?;
    }
}

#[test]
fn csv() {
    let line = |random: &mut Random| {
        let texts = texts(random);
        let field = |text: String| {
            let is_quoted = random.below(3) == 0 || text.contains([',', '"']);
            if is_quoted { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
        };
        texts.map(field).join(",")
    };
    for seed in seeds() {
        check::<Reading>(seed, Csv::new(b','), line, |line| reading(six(naive_csv(line)?)?));
    }
}

/// A JSON value in which a name may be there twice.
#[derive(Clone, Debug)]
enum Json {
    Object(Vec<(String, Json)>),
    Text(String),
    Bool(bool),
    Number(f64),
    Integer(i64),
    Null,
    Other,
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        struct Values;
        impl<'de> Visitor<'de> for Values {
            type Value = Json;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
                Ok(Json::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
                Ok(Json::Integer(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
                Ok(i64::try_from(value).map_or(Json::Number(value as f64), Json::Integer))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
                Ok(Json::Number(value))
            }

            fn visit_str<E>(self, value: &str) -> Result<Json, E> {
                Ok(Json::Text(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
                while items.next_element::<Json>()?.is_some() {}
                Ok(Json::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
                let mut all = Vec::new();
                while let Some(member) = members.next_entry()? {
                    all.push(member);
                }
                Ok(Json::Object(all))
            }
        }
        deserializer.deserialize_any(Values)
    }
}

/// A member of an object; null where it is not there.
fn member(object: &Json, name: &str) -> Option<Json> {
    let Json::Object(members) = object else { return None };
    let mut found = members.iter().filter(|member| member.0 == name);
    match (found.next(), found.next()) {
        (_, Some(_)) => None,
        (found, None) => Some(found.map_or(Json::Null, |member| member.1.clone())),
    }
}

fn naive_json(line: &str) -> Option<Reading> {
    let object: Json = serde_json::from_str(line).ok()?;
    let text = |object: &Json, name| match member(object, name)? {
        Json::Text(text) => Some(text),
        _ => None,
    };
    Some(Reading {
        station: text(&object, "station")?,
        celsius: match member(&object, "celsius")? {
            Json::Integer(value) => value as f64,
            Json::Number(value) => value,
            _ => return None,
        },
        count: match member(&object, "count")? {
            Json::Integer(value) => Some(value),
            Json::Null => None,
            _ => return None,
        },
        place: Place { street: text(&member(&object, "place")?, "street")? },
        is_valid: match member(&object, "is_valid")? {
            Json::Bool(value) => value,
            _ => return None,
        },
        at: match member(&object, "at")? {
            Json::Text(text) => Some(text.parse().ok()?),
            Json::Null => None,
            _ => return None,
        },
    })
}

#[test]
fn json() {
    let line = |random: &mut Random| {
        let escaped = |text: &str| serde_json::to_string(text).unwrap();
        let [station, celsius, count, street, is_valid, at] = texts(random);
        let count = if count.is_empty() { "null".to_owned() } else { count.replace("00", "0") };
        let at = if at.is_empty() { "null".to_owned() } else { escaped(&at) };
        let mut members = [
            format!("\"station\":{}", escaped(&station)),
            format!("\"celsius\" : {celsius}"),
            format!("\"count\":{count}"),
            format!("\"place\":{{\"street\":{},\"y\":[1,{{}}]}}", escaped(&street)),
            format!("\"is_valid\":{is_valid} "),
            format!("\"at\":{at}"),
            "\"x\":{\"station\":\"\\u00e9\\ud83c\\udf0a\",\"z\":[\"]\",-1.5e3]}".to_owned(),
        ];
        if random.below(4) == 0 {
            let (from, to) = (random.below(members.len()), random.below(members.len()));
            members.swap(from, to);
        }
        format!("{{{}}}", members.join(","))
    };
    // To the naive reading, `-0` is a float and no integer.
    let line = |random: &mut Random| line(random).replace("-0.0", "0.0");
    let naive = |line: &str| {
        let is_count = |text: &str| text.trim_start().starts_with(['-', '0']);
        let counts = line.split("\"count\":").skip(1).filter(|text| is_count(text));
        let line = counts.fold(line.to_owned(), |line, count| {
            let value = count.split([',', '}']).next().unwrap_or_default();
            if value.trim() == "-0" { line.replacen(value, "0", 1) } else { line }
        });
        naive_json(&line)
    };
    for seed in seeds() {
        check::<Reading>(seed, JsonLines::new(), line, naive);
    }
}

/// The pairs of a line, character by character; of a key alone, the value is none.
fn naive_pairs(line: &str) -> Option<Vec<(String, Option<String>)>> {
    let is_space = |c: char| c == ' ' || c == '\t';
    let (mut pairs, mut rest) = (Vec::new(), line.trim_start_matches(is_space));
    while !rest.is_empty() {
        let end = rest.find(|c| is_space(c) || c == '=' || c == '"').unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        rest = after;
        let value = if let Some(value) = rest.strip_prefix("=\"") {
            let (mut end, mut text) = (0, String::new());
            loop {
                // JSON has the same escapes, and refuses some characters that are good here.
                let escaped =
                    |c: char| if c < ' ' { format!("\\u{:04x}", c as u32) } else { c.into() };
                match value[end..].chars().next()? {
                    '"' => break,
                    '\\' => {
                        let escape = value[end + 1..].chars().next()?;
                        text.extend(['\\', escape]);
                        end += 1 + escape.len_utf8();
                    }
                    c => {
                        text += &escaped(c);
                        end += c.len_utf8();
                    }
                }
            }
            rest = &value[end + 1..];
            Some(format!("\"{text}\""))
        } else if let Some(value) = rest.strip_prefix('=') {
            if key.is_empty() {
                return None;
            }
            let (value, after) = value.split_at(value.find(is_space).unwrap_or(value.len()));
            rest = after;
            if value.contains('"') {
                return None;
            }
            Some(serde_json::to_string(value).unwrap())
        } else {
            None
        };
        if !rest.is_empty() && !rest.starts_with(is_space) || key.is_empty() {
            return None;
        }
        rest = rest.trim_start_matches(is_space);
        pairs.push((key.to_owned(), value));
    }
    Some(pairs).filter(|pairs| !pairs.is_empty())
}

fn naive_key_value(line: &str) -> Option<Reading> {
    let pairs = naive_pairs(line)?;
    let mut found: [Option<String>; 6] = Default::default();
    for (field, name) in NAMES.iter().enumerate() {
        let mut values = pairs.iter().filter(|pair| pair.0 == *name).map(|pair| &pair.1);
        found[field] = match (values.next(), values.next()) {
            (_, Some(_)) => return None,
            (Some(Some(value)), None) => Some(serde_json::from_str(value).ok()?),
            (Some(None), None) => Some(if *name == "is_valid" { "true" } else { "" }.to_owned()),
            (None, None) => None,
        };
    }
    reading(found)
}

#[test]
fn key_value() {
    let line = |random: &mut Random| {
        let texts = texts(random);
        let pair = |(name, text): (&str, String)| {
            let is_quoted = random.below(3) == 0 || text.contains(['"', ' ', '\t']);
            let value = if is_quoted { serde_json::to_string(&text).unwrap() } else { text };
            let is_flag = name == "is_valid" && value == "true";
            if is_flag { name.to_owned() } else { format!("{name}={value}") }
        };
        let mut pairs: Vec<String> = NAMES.into_iter().zip(texts).map(pair).collect();
        pairs.insert(random.below(6), "other=\"\\\"x\\u00e9=\"".to_owned());
        pairs.join(" ")
    };
    for seed in seeds() {
        check::<Reading>(seed, KeyValue::new(), line, naive_key_value);
    }
}

#[test]
fn pattern() {
    let expression = concat!(
        r"^(?<station>[^|]*)\|(?<celsius>[^|]*)\|(?:(?<count>-?\d+)\|)?(?<is_valid>true|false)",
        r"(?:\|at (?<at>[^|]+))?\|(?s-u:(?<street>[^|]{0,20}))$",
    );
    let expression = expression.replace("(?s-u:", "(?s:").replace("<street>", "<place.street>");
    // Without a regular expression: parts between bars, of which two may be left out.
    let naive = |line: &str| {
        let mut parts: Vec<&str> = line.split('|').collect();
        let is_count = |text: &&str| {
            let digits = text.strip_prefix('-').unwrap_or(text);
            !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())
        };
        let count = (parts.len() > 4).then(|| parts[2]).filter(is_count);
        if count.is_some() {
            parts.remove(2);
        }
        let at = if parts.len() == 5 { Some(parts.remove(3).strip_prefix("at ")?) } else { None };
        let [station, celsius, is_valid, street] = parts[..] else { return None };
        if street.chars().count() > 20 || at.is_some_and(str::is_empty) {
            return None;
        }
        let texts = [Some(station), Some(celsius), count, Some(street), Some(is_valid), at];
        reading(texts.map(|text| text.map(str::to_owned)))
    };
    let line = |random: &mut Random| {
        let [station, celsius, count, street, is_valid, at] = texts(random);
        let count = if count.is_empty() { count } else { format!("{count}|") };
        let at = if at.is_empty() { at } else { format!("|at {at}") };
        format!("{station}|{celsius}|{count}{is_valid}{at}|{street}")
    };
    // Digits of other scripts are digits to `\d`, and no number; the characters here have none.
    for seed in seeds() {
        check::<Reading>(seed, Pattern::new(&expression), line, naive);
    }
}

#[derive(Clone, Debug, PartialEq, Record)]
struct Request {
    host: String,
    ident: Option<String>,
    user: Option<String>,
    time: Timestamp,
    request: String,
    method: Option<String>,
    path: Option<String>,
    protocol: Option<String>,
    status: u16,
    bytes: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Record)]
struct Combined {
    time: Timestamp,
    path: Option<String>,
    status: u16,
    bytes: Option<u64>,
    referer: Option<String>,
    agent: Option<String>,
}

/// What the formats say, as expressions; requests are cut into words by [`naive_words`].
const COMMON: &str = concat!(
    r#"(?s)^(?<host>[^ ]+) (?:-|(?<ident>[^ ]+)) (?:-|(?<user>[^ ]+)) \[(?<time>[^\]]+)\] "#,
    r#""(?<request>(?:[^"\\]|\\.)*)" (?<status>[^ ]+) (?:-|(?<bytes>[^ ]+))"#,
);
const COMBINED: &str = r#" "(?:-|(?<referer>(?:[^"\\]|\\.)*))" "(?:-|(?<agent>(?:[^"\\]|\\.)*))""#;

fn naive_words(request: &str) -> [Option<&str>; 3] {
    match request.split(' ').collect::<Vec<_>>()[..] {
        [method, path] if !method.is_empty() && !path.is_empty() => {
            [Some(method), Some(path), None]
        }
        [method, path, protocol] if ![method, path, protocol].contains(&"") => {
            [Some(method), Some(path), Some(protocol)]
        }
        _ => [None; 3],
    }
}

/// The expression's rows with the words of their requests.
fn naive_log(
    expression: &str,
    is_combined: bool,
    line: &str,
) -> Option<(Request, [Option<String>; 2])> {
    let pattern = Pattern::new(expression).times(tidemill::TimeFormat::CommonLog);
    type Groups = (Option<String>, Option<String>);
    #[derive(Clone, Debug, Record)]
    struct Row {
        host: String,
        ident: Option<String>,
        user: Option<String>,
        time: Timestamp,
        request: String,
        status: u16,
        bytes: Option<u64>,
    }
    #[derive(Clone, Debug, Record)]
    struct Rest {
        referer: Option<String>,
        agent: Option<String>,
    }
    let row = decode::<Row>(pattern.clone(), &[line]).0.pop()?;
    let rest: Groups = if is_combined {
        let rest = decode::<Rest>(pattern, &[line]).0.pop()?;
        (rest.referer, rest.agent)
    } else {
        (None, None)
    };
    let [method, path, protocol] = naive_words(&row.request).map(|word| word.map(str::to_owned));
    let Row { host, ident, user, time, request, status, bytes } = row;
    let request =
        Request { host, ident, user, time, request, method, path, protocol, status, bytes };
    Some((request, [rest.0, rest.1]))
}

#[test]
fn access_logs() {
    let line = |random: &mut Random, is_combined: bool| {
        let mut pick = |texts: &[&str]| texts[random.below(texts.len())].to_owned();
        let common = format!(
            "{} {} {} [{}] \"{}\" {} {}",
            pick(&["::1", "10.0.0.1", "host.example"]),
            pick(&["-", "id"]),
            pick(&["-", "ann", "--"]),
            pick(&["10/Oct/2000:13:55:36 -0700", "29/Feb/2024:00:00:00 +0000"]),
            pick(&[
                "GET / HTTP/1.1",
                "GET /a?b",
                "-",
                "",
                "\\x16\\x03 \\\" x",
                "a b c d",
                "PUT  x"
            ]),
            pick(&["200", "404"]),
            pick(&["-", "0", "18446744073709551615"]),
        );
        let referer = pick(&["-", "", "http://x/?q=\\\"y\\\""]);
        let agent = pick(&["-", "Mozilla/5.0 (X11; é)", "\\\\"]);
        if is_combined { format!("{common} \"{referer}\" \"{agent}\"") } else { common }
    };
    let (common, combined) = (format!("{COMMON}$"), format!("{COMMON}{COMBINED}$"));
    // Compiling the expression for each line takes its time.
    for seed in seeds().map(|seed| seed * 2).step_by(4) {
        check::<Request>(
            seed,
            Pattern::common_log(),
            |random| line(random, false),
            |line| Some(naive_log(&common, false, line)?.0),
        );
        check::<Combined>(
            seed + 1,
            Pattern::combined_log(),
            |random| line(random, true),
            |line| {
                let (request, [referer, agent]) = naive_log(&combined, true, line)?;
                let Request { time, path, status, bytes, .. } = request;
                Some(Combined { time, path, status, bytes, referer, agent })
            },
        );
    }
}
