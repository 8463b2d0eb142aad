//! Formats with names: what each reads, and what it rejects for which reason.

use tidemill::prelude::*;
use tidemill::{
    AccessLog, Decode, DecodeCounts, Decoder, Files, JsonLines, KeyValue, LineOptions, Number,
    Pattern, Reject, SourceCounts, TimeFormat,
};

use crate::random::Random;

/// What becomes of lines.
pub(crate) fn decode<R: Record + Clone>(
    decoder: impl Decoder<R>,
    lines: &[&str],
) -> (Vec<R>, Vec<Reject>) {
    let mut t = TestContext::new().unwrap();
    let input = t.input::<String>();
    let decoded = input.stream().decode::<R>(decoder);
    let (rows, rejects) = (t.output(&decoded), t.output(&decoded.rejects()));
    input.push(lines.iter().map(|line| (*line).to_owned())).unwrap();
    t.tick().unwrap();
    (rows.take(), rejects.take())
}

/// Each line is rejected for its field and reason, also where good lines are around it.
#[track_caller]
fn check_rejects<R: Decode + Clone + PartialEq + std::fmt::Debug>(
    decoder: impl Decoder<R> + Clone,
    good: &str,
    cases: &[(&str, &str, &str)],
) {
    let (row, rejects) = decode::<R>(decoder.clone(), &[good]);
    assert_eq!((row.len(), rejects), (1, vec![]));
    let mut lines = vec![good];
    for &(line, field, reason) in cases {
        lines.extend([line, good]);
        let reject = reject(line, field, reason);
        let (rows, rejects) = decode::<R>(decoder.clone(), &[good, line, good]);
        let shown = &line[..line.floor_char_boundary(200)];
        assert!(rejects == [reject], "{shown}: {}: {}", rejects[0].field, rejects[0].reason);
        assert_eq!(rows, [row[0].clone(), row[0].clone()], "{shown}");
    }
    let (rows, rejects) = decode::<R>(decoder, &lines);
    assert_eq!(rows, vec![row[0].clone(); cases.len() + 1]);
    assert!(rejects.iter().map(|reject| &reject.line[..]).eq(cases.iter().map(|case| case.0)));
}

/// Blank lines that are no rows are no rejects either, whatever the format.
#[test]
fn blank_lines_are_skipped_by_every_format() {
    fn check<R: Decode + Clone>(decoder: impl Decoder<R>, good: &str) {
        let lines = ["", good, " \t ", "\r", "", good, "bad"];
        let mut t = TestContext::new().unwrap();
        let input = t.input::<String>();
        let decoded = input.stream().decode::<R>(decoder);
        let (rows, rejects) = (t.output(&decoded), t.output(&decoded.rejects()));
        input.push(lines.map(str::to_owned)).unwrap();
        t.tick().unwrap();
        let (rejects, counts) = (rejects.take(), decoded.counts());
        assert!(rejects.iter().map(|reject| &reject.line[..]).eq(["bad"]), "{rejects:?}");
        assert_eq!((rows.take().len(), counts.rows, counts.skipped), (2, 2, 4));
    }
    check::<Reading>(JsonLines::new(), READING);
    check::<Reading>(KeyValue::new(), PAIRS);
    check::<(String, f64)>(Delimited::new(b';'), "a;1");
    check::<(String, f64)>(Delimited::new(b' '), "a 1");
    check::<(String, f64)>(Delimited::whitespace(), " a 1");
    check::<(String, f64)>(Csv::new(b';'), "\"a\";1");
    check::<Place>(Pattern::new(r"^(?<street>\w+) (?<number>\d+)$"), "Main 22");
    // All fields may be missing, and still a blank line is no row.
    type Options = (Option<i64>, Option<i64>);
    let (rows, rejects) = decode::<Options>(JsonLines::new(), &["", "{}", "  "]);
    assert_eq!((rows.len(), rejects), (1, vec![]));
}

/// What a format takes for a row stays one, though nothing is to be seen in it.
#[test]
fn lines_of_white_space_that_are_rows_stay_rows() {
    let (rows, _) = decode::<(String,)>(Delimited::new(b';'), &["", "a", " "]);
    assert!(rows.iter().map(|(text,)| &text[..]).eq(["", "a", " "]), "{rows:?}");
    let (rows, _) = decode::<Option<i64>>(Delimited::new(b';'), &["", "1"]);
    assert_eq!(rows, [None, Some(1)]);
    let (rows, rejects) = decode::<(String, String)>(Delimited::new(b'\t'), &["\t", "a\tb", ""]);
    assert_eq!((rows.len(), rejects), (2, vec![]));
    assert_eq!(rows[0], (String::new(), String::new()));
}

fn reject(line: &str, field: &str, reason: &str) -> Reject {
    Reject { line: line.into(), field: field.into(), reason: reason.into() }
}

#[derive(Clone, Debug, PartialEq, Record)]
struct Place {
    street: String,
    number: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Record)]
struct Reading {
    station: String,
    celsius: f64,
    count: Option<i64>,
    place: Place,
    is_valid: bool,
    at: Option<Timestamp>,
    note: Option<String>,
}

fn reading() -> Reading {
    Reading {
        station: "oslo".into(),
        celsius: -3.5,
        count: Some(7),
        place: Place { street: "Main".into(), number: Some(22) },
        is_valid: true,
        at: Some(Timestamp::from_nanos(1_500_000_000)),
        note: None,
    }
}

const READING: &str = concat!(
    r#"{"station":"oslo","celsius":-3.5,"count":7,"place":{"street":"Main","number":22},"#,
    r#""is_valid":true,"at":"1970-01-01T00:00:01.5Z"}"#,
);

#[test]
fn json() {
    let lines = [
        READING,
        // Any order, spaces, members that nobody asked for.
        concat!(
            " { \"x\" : [ { \"station\" : 1 } , \"]\" , null ] , \"is_valid\" : true , ",
            "\"place\" : { \"y\" : { } , \"number\" : 22 , \"street\" : \"Main\" } , ",
            "\"at\" :\t\"1970-01-01 00:00:01.5Z\" , \"count\" : 7 , \"note\" : null , ",
            "\"celsius\" : -3.5 , \"station\" : \"oslo\" } ",
        ),
        // Escapes, also in names.
        concat!(
            r#"{"\u0073tation":"o\u0073lo","celsi\u0075s":-35e-1,"count":7,"#,
            r#""place":{"street":"\u004dain","\u006eumber":22},"is_valid":true,"#,
            r#""at":"1970-01-01T00:00:01.5\u005a"}"#,
        ),
    ];
    for line in lines {
        assert_eq!(decode::<Reading>(JsonLines::new(), &[line]), (vec![reading()], vec![]));
    }
    assert_eq!(decode::<Reading>(JsonLines::new(), &lines).0, vec![reading(); 3]);
    let least = r#"{"station":"","celsius":9,"place":{"street":""},"is_valid":false,"note":""}"#;
    let (rows, _) = decode::<Reading>(JsonLines::new(), &[least, READING]);
    let place = Place { street: String::new(), number: None };
    let expected = Reading {
        station: String::new(),
        celsius: 9.0,
        count: None,
        place,
        is_valid: false,
        at: None,
        // An empty text is one.
        note: Some(String::new()),
    };
    assert_eq!(rows, [expected, reading()]);
}

#[test]
fn json_rejects() {
    let with = |name: &str, value: &str| {
        let (start, rest) = READING.split_once(&format!("\"{name}\":")).unwrap();
        let end = rest.find([',', '}']).unwrap();
        format!("{start}\"{name}\":{value}{}", &rest[end..])
    };
    let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(128), "]".repeat(128));
    let deeper = format!(r#"{{"x":{}1{}}}"#, r#"{"x":"#.repeat(100_000), "}".repeat(100_000));
    let open = "[".repeat(250_000);
    let long = format!(r#"{{"station":"{}"}}"#, "x".repeat(1 << 16));
    let duplicate = READING.replace("\"count\":7", "\"count\":7,\"count\":7");
    let duplicate_null = READING.replace("\"count\":7", "\"count\":null,\"count\":7");
    let duplicate_object = READING.replace("\"count\":7", "\"place\":{}");
    let missing = READING.replace("\"station\":\"oslo\",", "");
    let missing_inner = READING.replace("\"street\":\"Main\",", "");
    let cases: Vec<(String, &str, &str)> = vec![
        ("oslo".into(), "", "not in the format"),
        (READING[..READING.len() - 1].into(), "", "not in the format"),
        (READING[..20].into(), "", "not in the format"),
        (format!("{READING}}}"), "", "not in the format"),
        (format!("{READING}{READING}"), "", "not in the format"),
        (format!("{READING},"), "", "not in the format"),
        (READING.replace("7,", "7,,"), "", "not in the format"),
        (READING.replace("true", "TRUE"), "", "not in the format"),
        (READING.replace("true", "truer"), "", "not in the format"),
        (READING.replace("\"oslo\"", "'oslo'"), "", "not in the format"),
        (with("station", "\"o\tslo\""), "", "not in the format"),
        (with("station", "\"o\0slo\""), "", "not in the format"),
        (with("count", "null\0"), "", "not in the format"),
        (with("count", "7\0"), "", "not in the format"),
        (with("count", "7\u{7f}"), "", "not in the format"),
        (with("station", r#""\x""#), "", "not in the format"),
        (with("station", r#""\u12""#), "", "not in the format"),
        (with("station", r#""\ud800""#), "", "not in the format"),
        (with("station", r#""\ud800\u0041""#), "", "not in the format"),
        (with("station", r#""\udc00\ud800""#), "", "not in the format"),
        (with("station", r#""oslo\""#), "", "not in the format"),
        (with("celsius", "1."), "", "not in the format"),
        (with("celsius", ".5"), "", "not in the format"),
        (with("celsius", "+5"), "", "not in the format"),
        (with("celsius", "05"), "", "not in the format"),
        (with("celsius", "-"), "", "not in the format"),
        (with("celsius", "1e"), "", "not in the format"),
        (with("celsius", "0x10"), "", "not in the format"),
        (with("celsius", "nan"), "", "not in the format"),
        (with("celsius", "Infinity"), "", "not in the format"),
        (with("celsius", "1e400"), "", "not in the format"),
        ("7".into(), "", "of another type"),
        ("null".into(), "", "of another type"),
        (format!("[{READING}]"), "", "of another type"),
        (with("celsius", "\"-3.5\""), "celsius", "of another type"),
        (with("celsius", "true"), "celsius", "of another type"),
        (with("celsius", "[]"), "celsius", "of another type"),
        (with("celsius", "{}"), "celsius", "of another type"),
        (with("celsius", "null"), "celsius", "a field is missing"),
        (with("station", "1"), "station", "of another type"),
        (with("count", "7.5"), "count", "of another type"),
        (with("count", "7e0"), "count", "of another type"),
        (with("count", "9223372036854775808"), "count", "out of range"),
        (with("count", "-9223372036854775809"), "count", "out of range"),
        (with("count", &"9".repeat(40)), "count", "out of range"),
        (with("number", "-1"), "place.number", "out of range"),
        (with("number", "4294967296"), "place.number", "out of range"),
        (with("is_valid", "1"), "is_valid", "of another type"),
        (with("is_valid", "\"true\""), "is_valid", "of another type"),
        (with("at", "1500"), "at", "of another type"),
        (with("at", "\"\""), "at", "empty"),
        (with("at", "\"1970-02-29T00:00:00Z\""), "at", "not a time"),
        (
            with("at", "\"1970-01-01T00:00:00.0000000001Z\""),
            "at",
            "too many digits after the point",
        ),
        (duplicate, "count", "the field is there twice"),
        (duplicate_null, "count", "the field is there twice"),
        (duplicate_object, "", "the field is there twice"),
        (missing, "station", "a field is missing"),
        (missing_inner, "place.street", "a field is missing"),
        (long, "celsius", "a field is missing"),
        (deep, "", "nested too deeply"),
        (deeper, "", "nested too deeply"),
        (open, "", "not in the format"),
    ];
    let cases: Vec<(&str, &str, &str)> =
        cases.iter().map(|(line, field, reason)| (&line[..], *field, *reason)).collect();
    check_rejects::<Reading>(JsonLines::new(), READING, &cases);
}

/// Numbers are what is written, not what a parser has made of it.
#[test]
fn json_numbers() {
    #[derive(Clone, Debug, PartialEq, Record)]
    struct Numbers {
        float: f64,
        exact: Number,
        whole: u64,
    }
    let cases = [
        ("-0.0", "18446744073709551615"),
        ("0.1", "0"),
        ("123456789012345678.901234567890123456789", "9007199254740993"),
        ("9007199254740993", "7"),
        ("1234567890123456789012345678901234567890", "7"),
        ("5e-324", "7"),
        ("2.4703282292062327e-324", "7"),
        ("1.7976931348623157E+308", "7"),
        ("0.00000000000000000000000000000000000000000000001", "7"),
    ];
    for (float, whole) in cases {
        let line = format!(r#"{{"float":{float},"exact":12345678.0123456789,"whole":{whole}}}"#);
        let (rows, rejects) = decode::<Numbers>(JsonLines::new(), &[&line]);
        assert_eq!(rejects, []);
        assert_eq!(rows[0].float.to_bits(), float.parse::<f64>().unwrap().to_bits());
        assert_eq!(rows[0].exact.to_string(), "12345678.0123456789");
        assert_eq!(rows[0].whole, whole.parse::<u64>().unwrap());
    }
}

#[test]
fn json_times_that_are_numbers() {
    let lines = [
        r#"{"0":1700000000.123456789,"1":null}"#,
        r#"{"0":-1,"1":1e9}"#,
        r#"{"0":"1700000000"}"#,
        r#"{"0":1.0000000001}"#,
    ];
    let seconds = JsonLines::new().times(TimeFormat::Seconds);
    let (rows, rejects) = decode::<(Timestamp, Option<Timestamp>)>(seconds, &lines);
    let times = [1_700_000_000_123_456_789, -1_000_000_000, 1_000_000_000_000_000_000];
    let times = times.map(Timestamp::from_nanos);
    assert_eq!(rows, [(times[0], None), (times[1], Some(times[2]))]);
    let reasons = rejects.iter().map(|reject| &reject.reason[..]);
    assert!(reasons.eq(["of another type", "too many digits after the point"]));
}

#[test]
fn json_texts() {
    let texts = [
        ("", ""),
        ("漢é🌊", "漢é🌊"),
        (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
        (r"\ud83c\udf0a\u00e9\u0000", "🌊é\0"),
        (r"C:\\dir\\", "C:\\dir\\"),
        ("\u{7f}\u{2028}", "\u{7f}\u{2028}"),
    ];
    let long = "é\\n".repeat(1 << 14);
    let unescaped = long.replace("\\n", "\n");
    for (written, text) in texts.into_iter().chain([(&long[..], &unescaped[..])]) {
        let line = format!(r#"{{"0":"{written}","1":"{written}","2":"x"}}"#);
        let plain = r#"{"0":"a","1":"b","2":"c"}"#;
        let (rows, _) =
            decode::<(String, Vec<u8>, Option<String>)>(JsonLines::new(), &[plain, &line, plain]);
        let row = (text.to_owned(), text.as_bytes().to_vec(), Some("x".to_owned()));
        let plain = ("a".to_owned(), b"b".to_vec(), Some("c".to_owned()));
        assert_eq!(rows, [plain.clone(), row, plain]);
    }
}

const PAIRS: &str = concat!(
    r#"station=oslo celsius=-3.5 count=7 place.street="Main" place.number=22 is_valid "#,
    "at=1970-01-01T00:00:01.5Z",
);

#[test]
fn key_value() {
    let lines = [
        PAIRS,
        concat!(
            "  x=1\tat=\"1970-01-01 00:00:01.5Z\" \t flag is_valid=true note= celsius=-35e-1 ",
            r#"y="a=b \"c\" station=rome" place.number="22" place.street=Main count=7 "#,
            "station=\"oslo\"  ",
        ),
        concat!(
            r#"station="o\u0073lo" celsius=-3.5 count=7 place.street="Mai\u006e" "#,
            "place.number=22 is_valid=true at=1970-01-01T00:00:01.5Z",
        ),
    ];
    assert_eq!(decode::<Reading>(KeyValue::new(), &lines), (vec![reading(); 3], vec![]));
    let least = r"station= celsius=9 place.street= is_valid=false count=";
    let (rows, _) = decode::<Reading>(KeyValue::new(), &[least]);
    assert_eq!((&rows[0].station[..], rows[0].count, &rows[0].note), ("", None, &None));
    let (rows, rejects) = decode::<(String, Option<bool>)>(
        KeyValue::new(),
        &[r#"0="\ud83c\udf0a \"a\\b\" \n""#, "0=a=b?c=\u{e9}/ 1", "0 1=false"],
    );
    let expected = [
        ("🌊 \"a\\b\" \n".to_owned(), None),
        ("a=b?c=é/".to_owned(), Some(true)),
        (String::new(), Some(false)),
    ];
    assert_eq!((&rows[..], rejects), (&expected[..], vec![]));
}

#[test]
fn key_value_rejects() {
    let long = format!("{PAIRS} x=\"{}", "y".repeat(1 << 16));
    let no_number = PAIRS.replace("-3.5", "-3,5");
    let cases = [
        ("a line of prose", "station", "a field is missing"),
        ("station=a =b", "", "not in the format"),
        ("=", "", "not in the format"),
        ("station=\"oslo", "", "a quote that is not closed, or in the wrong place"),
        ("station=\"oslo\\\"", "", "a quote that is not closed, or in the wrong place"),
        ("station=\"oslo\\", "", "a quote that is not closed, or in the wrong place"),
        ("station=os\"lo\"", "", "a quote that is not closed, or in the wrong place"),
        ("station=\"os\"lo", "", "a quote that is not closed, or in the wrong place"),
        ("\"station\"=oslo", "", "a quote that is not closed, or in the wrong place"),
        (r#"station="\q""#, "station", "not in the format"),
        (r#"station="\u12""#, "station", "not in the format"),
        (r#"station="\ud800""#, "station", "not in the format"),
        (r#"station="\ud800\u0041""#, "station", "not in the format"),
        ("station=a celsius=1 station=a", "station", "the field is there twice"),
        ("station=a celsius", "place.street", "a field is missing"),
        (&long, "", "a quote that is not closed, or in the wrong place"),
        (&no_number, "celsius", "not a number"),
        ("station=a celsius=inf place.street=x is_valid", "celsius", "not a finite number"),
        ("station=a celsius=1e400 place.street=x is_valid", "celsius", "not a finite number"),
        ("station=a celsius= place.street=x is_valid", "celsius", "empty"),
        ("station=a celsius=1 place.street=x is_valid=", "is_valid", "empty"),
        ("station=a celsius=1 place.street=x is_valid=1", "is_valid", "neither true nor false"),
        ("station=a celsius=1 place.street=x is_valid at=now", "at", "not a time"),
    ];
    check_rejects::<Reading>(KeyValue::new(), PAIRS, &cases);
}

#[test]
fn csv() {
    type Row = (String, f64, Option<String>);
    let row = |text: &str, number, last: Option<&str>| -> Row {
        (text.to_owned(), number, last.map(str::to_owned))
    };
    let lines = [
        ("oslo,-3.5,x", row("oslo", -3.5, Some("x"))),
        ("\"oslo\",\"-3.5\",\"\"", row("oslo", -3.5, None)),
        ("\"os,lo\",-3.5,\"a \"\"b\"\"\"", row("os,lo", -3.5, Some("a \"b\""))),
        ("\"\"\"\"\"\",1e3,\"\"\"\"", row("\"\"", 1e3, Some("\""))),
        ("\"\",-0,é\r", row("", -0.0, Some("é\r"))),
        (",0,", row("", 0.0, None)),
        ("\"\u{feff}\",0,\"\r\"", row("\u{feff}", 0.0, Some("\r"))),
        ("\u{feff},0,\"漢,\"", row("\u{feff}", 0.0, Some("漢,"))),
    ];
    for (line, row) in &lines {
        assert_eq!(decode::<Row>(Csv::new(b','), &[line]), (vec![row.clone()], vec![]), "{line}");
    }
    let (all, rows): (Vec<&str>, Vec<Row>) = lines.into_iter().unzip();
    assert_eq!(decode::<Row>(Csv::new(b','), &all), (rows, vec![]));
    let long = format!("\"{}\";1;{}", "a\"\"".repeat(1 << 19), "b".repeat(1 << 20));
    let (rows, _) = decode::<Row>(Csv::new(b';'), &[&long]);
    assert_eq!(rows, [row(&"a\"".repeat(1 << 19), 1.0, Some(&"b".repeat(1 << 20)))]);
}

/// What becomes of the records of a file whose fields in quotes have line ends.
fn csv_of_file(text: &str, limits: Limits) -> (Vec<(String, i64)>, DecodeCounts, SourceCounts) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.csv");
    std::fs::write(&path, text).unwrap();
    let builder = StreamingContext::builder("records").limits(limits);
    let ssc = builder.batch_interval(std::time::Duration::from_secs(3600)).build().unwrap();
    let options = LineOptions { quoted: Some(b','), ..LineOptions::default() };
    let records = ssc.text_stream(Files::open([&path]).unwrap(), options).unwrap();
    let decoded = records.decode::<(String, i64)>(Csv::new(b','));
    let rows = decoded.collect(64);
    // Operators that take blocks of lines get records, too.
    let count = records.split_whitespace().count_by_value().collect(64);
    ssc.start().unwrap();
    ssc.await_termination().unwrap();
    let rows: Vec<(String, i64)> = rows.iter().flat_map(|(_, rows)| rows).collect();
    let words: i64 = count.iter().flat_map(|(_, rows)| rows).map(|(_, count)| count).sum();
    let counts = decoded.counts();
    if counts.rejected.is_empty() {
        assert_eq!(words as usize, text.split_whitespace().count());
    }
    (rows, counts, ssc.source_counts()[0])
}

/// Over several blocks, beside lines without quotes.
#[test]
fn a_quoted_field_that_spans_lines_is_one_field() {
    let mut random = Random::new(11);
    let (mut text, mut expected) = (String::new(), Vec::new());
    for number in 0..60_000 {
        let (field, value) = match random.below(8) {
            0 => ("\"a\nb\"", "a\nb"),
            1 => ("\"x,1\n\n2,\"\"y\"\"\r\nz\"", "x,1\n\n2,\"y\"\r\nz"),
            2 => ("\"\n\"", "\n"),
            3 => ("\"quiet\"", "quiet"),
            _ => ("plain text that is somewhat longer", "plain text that is somewhat longer"),
        };
        text += &format!("{field},{number}{}", ["\n", "\r\n"][random.below(2)]);
        expected.push((value.to_owned(), number));
    }
    assert!(text.len() > 1 << 20, "{}", text.len());
    let (rows, counts, source) = csv_of_file(&text, Limits::default());
    assert!(rows == expected);
    assert_eq!((counts.rows, counts.rejected.len(), source.lines_cut), (60_000, 0, 0));
}

#[test]
fn quotes_that_are_never_closed_take_one_record_at_most() {
    // To the end of the input: none of these lines is taken for a record.
    let (rows, counts, _) = csv_of_file("a,1\n\"b,2\nc,3\nd,4\n", Limits::default());
    assert_eq!(rows, [("a".to_owned(), 1)]);
    assert_eq!((counts.rejected.len(), counts.rejected[0].lines), (1, 1));
    assert_eq!(counts.rejected[0].reason, tidemill::Reason::Quote);
    assert_eq!(counts.rejected[0].samples[0].line, "\"b,2\nc,3\nd,4\n\"…");
    // To the maximum: the next line is a record again.
    let limits = Limits { line_bytes: 1_000, ..Limits::default() };
    let lines: String = (0..1_000).map(|number| format!("k,{number}\n")).collect();
    let (rows, counts, source) = csv_of_file(&format!("a,1\n\"b,2\n{lines}"), limits);
    assert_eq!((source.lines_cut, counts.rejected[0].lines), (1, 1));
    assert_eq!(counts.rejected[0].reason, tidemill::Reason::TooLong);
    let rest = &lines[lines[..1_000].rfind('k').unwrap()..];
    let first: i64 = rest.lines().nth(1).unwrap()[2..].parse().unwrap();
    let lost = usize::try_from(first).unwrap();
    assert!((140..260).contains(&lost), "{lost} lines of about 6 bytes are 1,000");
    assert_eq!(rows.len(), 1 + 1_000 - lost);
    assert!(rows[1..].iter().map(|row| row.1).eq(first..1_000));
}

#[test]
fn a_separator_of_quoted_fields_that_is_none_is_refused() {
    let ssc = StreamingContext::builder("refused").build().unwrap();
    let options = |separator| LineOptions { quoted: Some(separator), ..LineOptions::default() };
    let nothing = || Files::open(Vec::<String>::new()).unwrap();
    for separator in [b'"', b'\n', b'\r', 0x80] {
        let error = ssc.text_stream(nothing(), options(separator)).unwrap_err();
        assert_eq!(error.kind(), tidemill::ErrorKind::Config);
        assert!(error.to_string().contains(&format!("byte {separator}")), "{error}");
    }
    let error = ssc.byte_stream(nothing(), options(b',')).unwrap_err();
    assert_eq!(error.kind(), tidemill::ErrorKind::Config);
}

#[test]
fn csv_headers() {
    #[derive(Clone, Debug, PartialEq, Record)]
    struct Named {
        a: String,
        b: i64,
    }
    let header = "\"b\",\"x,\"\"y\",a";
    let csv = || Csv::new(b',').header(header);
    let lines = [header, "1,\",\",\"z\"", "2,,", header, "3,\"a\"", "4,,,"];
    let (rows, rejects) = decode::<Named>(csv(), &lines);
    let named = |a: &str, b| Named { a: a.into(), b };
    assert_eq!(rows, [named("z", 1), named("", 2)]);
    let fields = "another number of fields";
    assert_eq!(rejects, [reject("3,\"a\"", "", fields), reject("4,,,", "", fields)]);
    for (bad, says) in [("a,\"b", "open quote"), ("\"a\",c", "no \"b\"")] {
        let mut t = TestContext::new().unwrap();
        let lines = t.input::<String>();
        t.output(&lines.stream().decode::<Named>(Csv::new(b',').header(bad)));
        let message = t.tick().unwrap_err().to_string();
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn csv_rejects() {
    let quote = "a quote that is not closed, or in the wrong place";
    let fields = "another number of fields";
    let long = format!("\"{},1,", "x".repeat(1 << 20));
    let cases = [
        ("\"oslo,1,", "", quote),
        ("\"oslo\"\",1,", "", quote),
        ("oslo,1,\"", "", quote),
        ("os\"lo\",1,", "", quote),
        ("oslo ,1, \"x\"", "", quote),
        ("\"oslo\"x,1,", "", quote),
        ("\"oslo\"x\",1,", "", quote),
        ("\"a\"b\"\",\",1", "", quote),
        ("\"oslo\" ,1,", "", quote),
        ("\"oslo\",1", "", fields),
        ("\"oslo\",1,,", "", fields),
        ("oslo,1", "", fields),
        ("oslo,1,,", "", fields),
        ("\"\"", "", fields),
        ("\"oslo\",\"\",", "1", "empty"),
        ("\"oslo\",\"1,5\",", "1", "not a number"),
        ("\"oslo\",nan,", "1", "not a finite number"),
        ("oslo,1e400,", "1", "not a finite number"),
        (&long, "", quote),
    ];
    check_rejects::<(String, f64, Option<String>)>(Csv::new(b','), "\"a\"\"\",1,b", &cases);
    check_rejects::<(String, f64, Option<String>)>(Csv::new(b','), "a,1,b", &cases);
}

#[derive(Clone, Debug, PartialEq, Record)]
struct Login {
    user: String,
    port: Option<u16>,
    place: Place,
}

const LOGIN: &str =
    r"^(?<user>\S*) from (?<place.street>[^:]*?)(?: (?<place.number>\d+))?(?::(?<port>.*))?$";

#[test]
fn patterns() {
    let login = |user: &str, port, street: &str, number| {
        let place = Place { street: street.into(), number };
        Login { user: user.into(), port, place }
    };
    let lines = [
        ("ann from Main 22:4711", login("ann", Some(4711), "Main", Some(22))),
        ("é from 漢:", login("é", None, "漢", None)),
        (" from ", login("", None, "", None)),
    ];
    for (line, row) in lines {
        let (rows, rejects) = decode::<Login>(Pattern::new(LOGIN), &[line]);
        assert_eq!((rows, rejects), (vec![row], vec![]));
    }
    let long = "x".repeat(1 << 20);
    let cases = [
        ("ann", "", "no match"),
        (&long, "", "no match"),
        ("ann from Main:65536", "port", "out of range"),
        ("ann from Main:x", "port", "not a number"),
        ("ann from Main 4294967296", "place.number", "out of range"),
    ];
    check_rejects::<Login>(Pattern::new(LOGIN), "ann from Main 22:4711", &cases);
    let cases = [("a=", "b", "a field is missing"), ("a=x;b=", "b", "empty")];
    let pattern = Pattern::new("^(?s)(?:a=(?<a>[^;]*))?(?:;b=(?<b>.*))?$");
    check_rejects::<OfTwo>(pattern, "a=1;b=2", &cases);
}

#[derive(Clone, Debug, PartialEq, Record)]
struct OfTwo {
    a: Option<String>,
    b: i64,
}

#[test]
fn patterns_that_do_not_fit_stop_the_start() {
    let cases = [
        ("(?<a>x)", "the pattern has no \"b\"; there are [\"a\"]"),
        ("(x)", "the pattern has no \"a\"; there are []"),
        ("(?<a>x", "unclosed group"),
        (r"(?<a>\w{1000})(?<b>\w{1000})", "size limit"),
        (&"(".repeat(1 << 16), "pattern"),
    ];
    for (pattern, says) in cases {
        let mut t = TestContext::new().unwrap();
        let lines = t.input::<String>();
        t.output(&lines.stream().decode::<OfTwo>(Pattern::new(pattern)));
        let message = t.tick().unwrap_err().to_string();
        assert!(message.contains(says), "{message}");
    }
}

const COMMON: &str = r#"::1 - ann [10/Oct/2000:13:55:36 -0700] "GET /a?b HTTP/1.1" 200 2326"#;

#[test]
fn access_logs() {
    let request = || AccessLog {
        host: "::1".into(),
        user: Some("ann".into()),
        time: Timestamp::from_nanos(971_211_336_000_000_000),
        method: Some("GET".into()),
        path: Some("/a?b".into()),
        protocol: Some("HTTP/1.1".into()),
        status: 200,
        bytes: Some(2326),
    };
    let words = |method: &str, path: &str, protocol: Option<&str>| {
        let [method, path] = [method, path].map(|word| Some(word.to_owned()));
        AccessLog { method, path, protocol: protocol.map(str::to_owned), ..request() }
    };
    let no_words = || AccessLog { method: None, path: None, protocol: None, ..request() };
    let with = |request: &str| COMMON.replace("GET /a?b HTTP/1.1", request);
    let cases = [
        (COMMON.to_owned(), request()),
        (COMMON.replace("2326", "-"), AccessLog { bytes: None, ..request() }),
        (COMMON.replace("ann", "-"), AccessLog { user: None, ..request() }),
        (COMMON.replace("- ann", "id -"), AccessLog { user: None, ..request() }),
        (with("GET /"), words("GET", "/", None)),
        (with(r#"GET /\"é\\ HTTP/2"#), words("GET", r#"/\"é\\"#, Some("HTTP/2"))),
        (with("-"), no_words()),
        (with(""), no_words()),
        (with("GET /a b HTTP/1.1"), no_words()),
        (with("GET  HTTP/1.1"), no_words()),
        (with(r"\x16\x03\x01"), no_words()),
    ];
    for (line, row) in cases {
        let (rows, rejects) = decode::<AccessLog>(Pattern::common_log(), &[&line]);
        assert_eq!((rows, rejects), (vec![row.clone()], vec![]), "{line}");
        let combined = format!(r#"{line} "http://x/" "a \"b\"""#);
        let (rows, rejects) = decode::<AccessLog>(Pattern::combined_log(), &[&combined]);
        assert_eq!((rows, rejects), (vec![row], vec![]), "{line}");
    }
    type Agents = (Option<String>, Option<String>);
    #[derive(Clone, Debug, PartialEq, Record)]
    struct Agent {
        referer: Option<String>,
        agent: Option<String>,
        request: String,
        ident: Option<String>,
    }
    let agents = [
        (r#""-" "-""#, (None, None)),
        (r#""" """#, (None, None)),
        (r#""x y" "a \"b\"""#, (Some("x y".to_owned()), Some(r#"a \"b\""#.to_owned()))),
    ];
    for (end, (referer, agent)) in agents as [(&str, Agents); 3] {
        let line = format!("{COMMON} {end}");
        let (rows, _) = decode::<Agent>(Pattern::combined_log(), &[&line]);
        let request = "GET /a?b HTTP/1.1".to_owned();
        assert_eq!(rows, [Agent { referer, agent, request, ident: None }]);
    }
}

#[test]
fn access_log_rejects() {
    let long = COMMON.replace("a?b", &"\\\"".repeat(1 << 19));
    let open = COMMON.replace("1.1\"", "1.1\\\"");
    let cut = COMMON.split_at(30).0;
    let replaced = |from: &str, to: &str| COMMON.replace(from, to);
    let cases = [
        (cut.to_owned(), "", "no match"),
        (open, "", "no match"),
        (format!("{COMMON} "), "", "no match"),
        (format!("{COMMON} \"-\" \"-\""), "", "no match"),
        (replaced("- ann", "-  ann"), "", "no match"),
        (replaced("[", ""), "", "no match"),
        (replaced("-0700", "0700"), "time", "not a time"),
        (replaced("Oct", "Okt"), "time", "not a time"),
        (replaced("200 ", "OK "), "status", "not a number"),
        (replaced("200 ", "99999 "), "status", "out of range"),
        (replaced("2326", "-1"), "bytes", "out of range"),
        (format!("{long}x"), "bytes", "not a number"),
    ];
    let cases: Vec<(&str, &str, &str)> =
        cases.iter().map(|(line, field, reason)| (&line[..], *field, *reason)).collect();
    check_rejects::<AccessLog>(Pattern::common_log(), COMMON, &cases);
    let cases = [(COMMON, "", "no match")];
    let combined = format!("{COMMON} \"-\" \"-\"");
    check_rejects::<AccessLog>(Pattern::combined_log(), &combined, &cases);
}
