//! Output operations: `print` in Spark's form, and what `foreach_batch` is given.

use std::sync::mpsc::sync_channel;

use tidemill::prelude::*;

use crate::check::batch_of;
use crate::child;

/// What a program that prints these batches writes.
const PRINTED: &str = "\
-------------------------------------------
Time: 1000 ms
-------------------------------------------
(a,1)
(é,-2)
...

-------------------------------------------
Time: 2000 ms
-------------------------------------------
(a,1)

-------------------------------------------
Time: 3000 ms
-------------------------------------------

-------------------------------------------
Time: 5000 ms
-------------------------------------------
(c,3)
(d,4)

";

#[test]
fn print() {
    if !child::is_child() {
        let printed = child::run("output::print", &[]);
        assert!(printed.contains(PRINTED), "printed:\n{printed}\nexpected:\n{PRINTED}");
        return;
    }
    let mut t = TestContext::new().unwrap();
    let pairs = t.input::<(String, i64)>();
    pairs.stream().print(2);
    let pair = |key: &str, value: i64| (key.to_owned(), value);
    pairs.push([pair("a", 1), pair("é", -2), pair("b", 3)]).unwrap();
    pairs.push([pair("a", 1)]).unwrap();
    pairs.push_batch(Batch::from_iter([])).unwrap();
    // Without a batch nothing is printed.
    pairs.push_absent().unwrap();
    pairs.push_batch(batch_of(&[vec![pair("c", 3)], vec![], vec![pair("d", 4)]])).unwrap();
    for _ in 0..5 {
        t.tick().unwrap();
    }
}

#[test]
fn a_batch_lends_its_rows_and_partitions() {
    let mut t = TestContext::new().unwrap();
    let words = t.input::<String>();
    let (sender, receiver) = sync_channel(8);
    words.stream().foreach_batch(move |batch, _| {
        let rows: Vec<&str> = batch.iter().collect();
        let sizes: Vec<usize> = batch.partitions().map(|columns| columns.len()).collect();
        assert_eq!(batch.len(), rows.len());
        assert_eq!(batch.is_empty(), rows.is_empty());
        assert_eq!(batch.to_vec(), rows);
        sender.send((rows.concat(), sizes, format!("{batch:?}")))?;
        Ok(())
    });
    let text = |text: &str| text.to_owned();
    words.push_batch(batch_of(&[vec![text("a"), text("b")], vec![], vec![text("c")]])).unwrap();
    t.tick().unwrap();
    t.tick().unwrap();
    let debug = |text: &str| text.to_owned();
    assert_eq!(
        receiver.try_iter().collect::<Vec<_>>(),
        [
            (text("abc"), vec![2, 0, 1], debug("Batch(3 rows in 3 partitions)")),
            (text(""), vec![], debug("Batch(0 rows in 0 partitions)")),
        ]
    );
}

/// A batch that was kept is not written again by the next one.
#[test]
fn a_batch_that_is_kept_stays_as_it_was() {
    let mut t = TestContext::new().unwrap();
    let words = t.input::<String>();
    let (sender, receiver) = sync_channel(8);
    words.stream().count_by_value().foreach_batch(move |batch, _| {
        sender.send(batch.clone())?;
        Ok(())
    });
    for word in ["a", "b", "c"] {
        words.push([word]).unwrap();
        t.tick().unwrap();
    }
    let batches: Vec<Vec<(String, i64)>> =
        receiver.try_iter().map(|batch: Batch<(String, i64)>| batch.to_vec()).collect();
    let batch = |word: &str| vec![(word.to_owned(), 1)];
    assert_eq!(batches, [batch("a"), batch("b"), batch("c")]);
}
