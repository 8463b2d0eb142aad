//! Delimited lines to typed rows: fields by position and by name, and what becomes of bad ones.

use std::sync::{Arc, Mutex};

use tidemill::prelude::*;
use tidemill::{DecodeCounts, Decoder, ErrorKind, Reject, TimeFormat};

use crate::random::Random;

#[derive(Clone, Debug, PartialEq, Record)]
struct Place {
    street: String,
    number: u32,
}

#[derive(Clone, Debug, PartialEq, Record)]
struct Reading {
    station: String,
    celsius: f64,
    at: Option<i64>,
    place: Place,
    is_valid: bool,
}

fn decode<R: Record + Clone>(
    decoder: impl Decoder<R>,
    lines: &[&str],
) -> (Vec<R>, Vec<Reject>, DecodeCounts) {
    let mut t = TestContext::new().unwrap();
    let input = t.input::<String>();
    let decoded = input.stream().decode::<R>(decoder);
    let (rows, rejects) = (t.output(&decoded), t.output(&decoded.rejects()));
    input.push(lines.iter().map(|line| (*line).to_owned())).unwrap();
    t.tick().unwrap();
    (rows.take(), rejects.take(), decoded.counts())
}

fn reading(station: &str, celsius: f64, at: Option<i64>, street: &str, number: u32) -> Reading {
    let place = Place { street: street.into(), number };
    Reading { station: station.into(), celsius, at, place, is_valid: true }
}

fn reject(line: &str, field: &str, reason: &str) -> Reject {
    Reject { line: line.into(), field: field.into(), reason: reason.into() }
}

#[test]
fn fields_in_their_order() {
    let lines = ["oslo;-3.5;7;Main;22;true", ";-0;;;0;true", "é;1e3;-1;x y;4294967295;true"];
    let (rows, rejects, counts) = decode::<Reading>(Delimited::new(b';'), &lines);
    let expected = [
        reading("oslo", -3.5, Some(7), "Main", 22),
        reading("", -0.0, None, "", 0),
        reading("é", 1e3, Some(-1), "x y", u32::MAX),
    ];
    assert_eq!(rows, expected);
    assert!(rows[1].celsius.is_sign_negative());
    assert_eq!(rejects, []);
    assert_eq!((counts.rows, counts.skipped, counts.rejected), (3, 0, vec![]));
}

#[test]
fn each_reject_says_why() {
    let cases = [
        ("a;1;;s;1", "", "another number of fields"),
        ("a;1;;s;1;true;", "", "another number of fields"),
        ("a;;;s;1;true", "celsius", "empty"),
        ("a;x;;s;1;true", "celsius", "not a number"),
        ("a;1,5;;s;1;true", "celsius", "not a number"),
        ("a; 1;;s;1;true", "celsius", "not a number"),
        ("a;nan;;s;1;true", "celsius", "not a finite number"),
        ("a;-inf;;s;1;true", "celsius", "not a finite number"),
        ("a;1e400;;s;1;true", "celsius", "not a finite number"),
        ("a;1;1.5;s;1;true", "at", "not a number"),
        ("a;1;9223372036854775808;s;1;true", "at", "out of range"),
        ("a;1;;s;4294967296;true", "place.number", "out of range"),
        ("a;1;;s;-1;true", "place.number", "out of range"),
        ("a;1;;s;;true", "place.number", "empty"),
        ("a;1;;s;1;yes", "is_valid", "neither true nor false"),
        ("a;1;;s;1;", "is_valid", "empty"),
        // Of several fields the first.
        ("a;1;x;s;x;x", "at", "not a number"),
    ];
    for (line, field, reason) in cases {
        let good = "b;2;;t;3;true";
        let (rows, rejects, counts) = decode::<Reading>(Delimited::new(b';'), &[good, line, good]);
        assert_eq!(rows, [reading("b", 2.0, None, "t", 3), reading("b", 2.0, None, "t", 3)]);
        assert_eq!(rejects, [reject(line, field, reason)], "{line}");
        assert_eq!((counts.rows, counts.rejected[0].lines), (2, 1));
        assert_eq!(counts.rejected[0].reason.as_str(), reason);
        assert_eq!(counts.rejected[0].samples, rejects);
    }
}

/// Blocks of lines are cut without a column of lines in between.
#[test]
fn blocks_of_files_decode_as_columns_of_lines_do() {
    let mut random = Random::new(7);
    let mut text = String::new();
    for _ in 0..20_000 {
        text += match random.below(12) {
            0 => "oslo;;1\n",
            1 => "oslo;x;1\r\n",
            2 => "\n",
            3 => "oslo\n",
            4 => "oslo;1;2;3\n",
            5 => "bergen;-1.5;\r\n",
            _ => "rome;21.25;7\n",
        };
        if random.below(5_000) == 0 {
            text += &"x;".repeat(50_000);
            text.push('\n');
        }
    }
    text += "last;1;2";
    check_blocks(&text, Delimited::new(b';'));
    // Headers are found among lines that nobody has cut: whole ones, as this is none.
    let columns = Delimited::new(b';').columns([0, 1, 2]);
    check_blocks(&text, columns.clone().header("slo;x;1"));
    check_blocks(&text, columns.clone().header("oslo;x;1"));
    check_blocks(&text, columns.clone().header("oslo;1;2;3"));
    check_blocks(&text, columns.header("last;1;2").header("oslo;1;2;3").header("oslo;;1"));
}

/// Blocks of a file give what a column of its lines gives.
fn check_blocks(text: &str, delimited: Delimited) {
    type Row = (String, f64, Option<i64>);
    let lines: Vec<&str> = text.lines().collect();
    let (expected, expected_rejects, counts) = decode::<Row>(delimited.clone(), &lines);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("readings.txt");
    std::fs::write(&path, text).unwrap();
    let ssc = StreamingContext::builder("files")
        .batch_interval(std::time::Duration::from_secs(3600))
        .build()
        .unwrap();
    let lines = ssc.receiver_stream(tidemill::Files::open([&path]).unwrap()).unwrap();
    let decoded = lines.decode::<Row>(delimited);
    let (rows, rejects) = (Arc::new(Mutex::new(vec![])), Arc::new(Mutex::new(vec![])));
    let (sink, reject_sink) = (rows.clone(), rejects.clone());
    decoded.foreach_batch(move |batch, _| {
        sink.lock().unwrap().extend(batch.to_vec());
        Ok(())
    });
    decoded.rejects().foreach_batch(move |batch, _| {
        reject_sink.lock().unwrap().extend(batch.to_vec());
        Ok(())
    });
    ssc.start().unwrap();
    ssc.await_termination().unwrap();
    assert_eq!(*rows.lock().unwrap(), expected);
    assert_eq!(*rejects.lock().unwrap(), expected_rejects);
    assert_eq!(decoded.counts(), counts);
}

/// What is left of a line that was cut is not what was sent: no number is read out of it.
#[test]
fn lines_that_a_source_has_cut_are_rejected() {
    let limits = tidemill::Limits { line_bytes: 64, ..tidemill::Limits::default() };
    let cases = [
        // Cut within the number.
        (format!("{};12.75", "k".repeat(60)), false),
        // Cut before a character that did not fit.
        (format!("{};1.5é", "k".repeat(59)), false),
        (format!("é{};1é", "k".repeat(59)), false),
        // As long as one that was cut may be.
        (format!("{};1.5", "k".repeat(57)), false),
        (format!("{};1.5", "k".repeat(56)), true),
        (format!("é{};1.5", "k".repeat(54)), true),
        ("oslo;1.5".to_owned(), true),
    ];
    for (line, is_accepted) in cases {
        let text = format!("a;1\n{line}\nb;2\n");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("readings.txt");
        std::fs::write(&path, &text).unwrap();
        let builder = StreamingContext::builder("files").limits(limits);
        let ssc = builder.batch_interval(std::time::Duration::from_secs(3600)).build().unwrap();
        let lines = ssc.receiver_stream(tidemill::Files::open([&path]).unwrap()).unwrap();
        let decoded = lines.decode::<(String, f64)>(Delimited::new(b';'));
        decoded.aggregate_by_key(Count).foreach_batch(|_, _| Ok(()));
        ssc.start().unwrap();
        ssc.await_termination().unwrap();
        let counts = decoded.counts();
        assert_eq!(counts.rows, 2 + u64::from(is_accepted), "{line}: {counts:?}");
        let reasons: Vec<_> = counts.rejected.iter().map(|rejected| rejected.reason).collect();
        let expected = if is_accepted { vec![] } else { vec![tidemill::Reason::TooLong] };
        assert_eq!(reasons, expected, "{line}");
    }
}

#[test]
fn integers_to_the_ends_of_their_ranges() {
    type All = ((i8, i16, i32), (u16, u32), u64);
    let ends = "-128,-32768,-2147483648,65535,4294967295,18446744073709551615";
    let (rows, ..) = decode::<All>(Delimited::new(b','), &[ends]);
    assert_eq!(rows, [((i8::MIN, i16::MIN, i32::MIN), (u16::MAX, u32::MAX), u64::MAX)]);
    let past = [
        ("128,0,0,0,0,0", "0.0"),
        ("0,-32769,0,0,0,0", "0.1"),
        ("0,0,2147483648,0,0,0", "0.2"),
        ("0,0,0,65536,0,0", "1.0"),
        ("0,0,0,0,-1,0", "1.1"),
        ("0,0,0,0,0,18446744073709551616", "2"),
        ("0,0,0,0,0,-1", "2"),
    ];
    for (line, field) in past {
        let (_, rejects, _) = decode::<All>(Delimited::new(b','), &[line]);
        assert_eq!(rejects, [reject(line, field, "out of range")]);
    }
}

#[test]
fn columns_by_position() {
    let delimited = Delimited::new(b'\t').columns([2, 0]);
    let lines = ["1\tx\ta", "2\ty\tb\tmore", "3\tz"];
    let (rows, rejects, _) = decode::<(String, i64)>(delimited, &lines);
    assert_eq!(rows, [("a".to_owned(), 1), ("b".to_owned(), 2)]);
    assert_eq!(rejects, [reject("3\tz", "", "another number of fields")]);
}

#[test]
fn fields_between_runs_of_white_space() {
    let lines = [" 1  oslo\t -3.5 ", "22 rome 9", "\t3\t\tbonn  1 2", "4 bern", " "];
    let (rows, rejects, counts) = decode::<(i64, String, f64)>(Delimited::whitespace(), &lines);
    assert_eq!(rows, [(1, "oslo".to_owned(), -3.5), (22, "rome".to_owned(), 9.0)]);
    let fields = "another number of fields";
    assert_eq!(rejects, [reject(lines[2], "", fields), reject(lines[3], "", fields)]);
    assert_eq!(counts.skipped, 1);
    // By position, whatever else there is.
    let (rows, rejects, _) =
        decode::<(String, i64)>(Delimited::whitespace().columns([1, 0]), &lines);
    assert!(rows.iter().map(|row| row.1).eq([1, 22, 3, 4]), "{rows:?}");
    assert_eq!(rejects, []);
}

/// As `ps` prints them: the header is known again by its words, and the last column has the rest.
#[test]
fn columns_by_name_between_white_space() {
    let header = "  number x street";
    let lines =
        [header, "number  x  street ", " 1 ? Main  Street ", "22 ? a", "3 ?", "number x streets"];
    let (rows, rejects, counts) = decode::<Place>(Delimited::whitespace().header(header), &lines);
    let place = |street: &str, number| Place { street: street.into(), number };
    assert_eq!(rows, [place("Main  Street", 1), place("a", 22)]);
    assert_eq!(
        rejects,
        [
            reject("3 ?", "", "another number of fields"),
            reject("number x streets", "number", "not a number")
        ]
    );
    assert_eq!(counts.skipped, 2);
}

#[test]
fn columns_by_name_and_headers_are_skipped() {
    let header = "number,x,street";
    let delimited = Delimited::new(b',').header(header);
    let lines = [header, "1,?,a", "x,?,b", header, "2,?,c", "2,?,c,d"];
    let (rows, rejects, counts) = decode::<Place>(delimited, &lines);
    let place = |street: &str, number| Place { street: street.into(), number };
    assert_eq!(rows, [place("a", 1), place("c", 2)]);
    assert_eq!(
        rejects,
        [
            reject("x,?,b", "number", "not a number"),
            reject("2,?,c,d", "", "another number of fields")
        ]
    );
    assert_eq!((counts.rows, counts.skipped), (2, 2));
}

#[test]
fn headers_beside_columns() {
    let lines = ["n,street,x", "1,a,?", "street,n", "2,b", "3", "4,d,?,?"];
    let at = || Delimited::new(b',').columns([1, 0]);
    let decode = |delimited| self::decode::<Place>(delimited, &lines);
    // Each line has as many fields as the header.
    let (rows, rejects, counts) = decode(at().header("n,street,x"));
    assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), [1]);
    assert_eq!((rejects.len(), counts.skipped), (4, 1));
    // Headers that do not agree about that.
    let (rows, rejects, counts) = decode(at().header("n,street,x").header("street,n"));
    assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), [1, 2, 4]);
    assert_eq!(rejects, [reject("3", "", "another number of fields")]);
    assert_eq!(counts.skipped, 2);
    // Names lead to the same positions in all of them.
    let by_name = Delimited::new(b',').header("street,number").header("street,number,x");
    let (rows, _, counts) = self::decode::<Place>(by_name, &["street,number,x", "a,1,?", "b,2"]);
    assert_eq!((rows.len(), counts.skipped), (2, 1));
}

#[test]
fn what_does_not_fit_the_record_stops_the_start() {
    let refusal = |delimited: Delimited| {
        let mut t = TestContext::new().unwrap();
        let input = t.input::<String>();
        let _rows = t.output(&input.stream().decode::<Place>(delimited));
        let error = t.tick().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        error.to_string()
    };
    let comma = || Delimited::new(b',');
    assert_eq!(
        refusal(comma().header("street,nr")),
        r#"decode Delimited(','): the header has no "number"; there are ["street", "nr"]"#
    );
    assert_eq!(
        refusal(comma().header("street,number,street")),
        "decode Delimited(','): the header has \"street\" more than once: \
         [\"street\", \"number\", \"street\"]"
    );
    assert_eq!(
        refusal(comma().columns([1])),
        r#"decode Delimited(','): 1 columns for the 2 fields ["street", "number"]"#
    );
    assert_eq!(
        refusal(comma().columns([0, 2]).header("street,number")),
        r#"decode Delimited(','): column 2, but the header has 2: ["street", "number"]"#
    );
    assert_eq!(
        refusal(comma().header("street,number").header("number,street")),
        "decode Delimited(','): another header has the fields elsewhere than \
         [\"number\", \"street\"]"
    );
    assert_eq!(
        refusal(comma().columns([1, 1 << 40])),
        "decode Delimited(','): column 1099511627776, but the last one possible is 1048576 - 1"
    );
}

#[test]
fn a_reject_fails_its_batch_where_the_program_asks_for_it() {
    let mut t = TestContext::new().unwrap();
    let input = t.input::<String>();
    let decoded = input.stream().decode::<(String, i64)>(Delimited::new(b';')).fail_on_reject();
    let rows = t.output(&decoded);
    input.push(["a;1", "b;x"]).unwrap();
    let error = t.tick().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert!(error.to_string().ends_with(r#"field 1: not a number, in line "b;x""#), "{error}");
    input.push(["c;3"]).unwrap();
    t.tick().unwrap();
    assert_eq!(rows.take(), [("c".to_owned(), 3)]);
    assert_eq!(decoded.counts().rejected[0].lines, 1);
}

#[test]
fn samples_are_few_and_short() {
    let long = format!("é{}", "x".repeat(1 << 20));
    let lines = [&long[..], "1", "2", "3", "4;5;6"];
    let (_, rejects, counts) = decode::<(String, i64)>(Delimited::new(b';'), &lines);
    assert_eq!(rejects.len(), 5);
    assert_eq!(rejects[0].line.len(), long.len());
    assert_eq!(counts.rejected.len(), 1);
    assert_eq!((counts.rejected[0].lines, counts.rejected[0].samples.len()), (5, 3));
    assert_eq!(counts.rejected[0].samples[0].line.len(), 200);
}

#[test]
fn a_decoder_that_forgets_a_row_fails_the_batch() {
    struct Forgets;
    impl Decoder<i64> for Forgets {
        fn name(&self) -> String {
            "Forgets".into()
        }

        fn decode(
            &self,
            _: &tidemill::TextColumn,
            _: &mut <i64 as Record>::Columns,
            _: &mut tidemill::Rejects,
        ) -> tidemill::Result<()> {
            Ok(())
        }
    }
    let mut t = TestContext::new().unwrap();
    let input = t.input::<String>();
    let _rows = t.output(&input.stream().decode::<i64>(Forgets));
    input.push(["1"]).unwrap();
    let error = t.tick().unwrap_err();
    let expected = "Forgets gave 0 rows for 1 lines, but must give one for each";
    assert!(error.to_string().ends_with(expected), "{error}");
}

#[test]
fn timestamps() {
    let cases = [
        (TimeFormat::Rfc3339, ["1970-01-01T00:00:01.5Z", "1970-01-01 00:60:00Z"], "not a time"),
        (TimeFormat::Seconds, ["1.5", "soon"], "not a number"),
        (TimeFormat::Millis, ["1500", "9223372036855"], "out of range"),
        (TimeFormat::Micros, ["1500000", ""], "empty"),
        (TimeFormat::Nanos, ["1500000000", "0.5"], "too many digits after the point"),
        (
            TimeFormat::CommonLog,
            ["01/Jan/1970:00:00:01 +0000", "32/Jan/1970:00:00:01 +0000"],
            "not a time",
        ),
    ];
    for (format, [good, bad], reason) in cases {
        let mut t = TestContext::new().unwrap();
        let lines = t.input::<String>();
        let times = Delimited::new(b';').times(format);
        let times = lines.stream().decode::<(Timestamp, Option<Timestamp>)>(times);
        let (times, rejects) = (t.output(&times), t.output(&times.rejects()));
        lines.push([format!("{good};"), format!("{good};{good}"), format!("{bad};")]).unwrap();
        t.tick().unwrap();
        let half = if format == TimeFormat::CommonLog { 0 } else { 500_000_000 };
        let time = Timestamp::from_nanos(1_000_000_000 + half);
        assert_eq!(times.take(), [(time, None), (time, Some(time))]);
        assert_eq!(rejects.take()[0].reason, reason);
    }
}
