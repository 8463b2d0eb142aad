//! What has to hold for an aggregate, as a check that tests can run on values of their own.

use std::fmt::Debug;

use super::Aggregate;
use crate::error::Result;
use crate::record::{Columns, Record};

/// Cuts of a list of values that are tried, at most: all of them where there are no more.
const CUTS_MAX: usize = 16;

/// Checks on these values what the engine relies on with an [`Aggregate`], since it aggregates
/// parts of a batch apart, and in windows takes out again what leaves. The error says which law is
/// broken, and how.
///
/// * The partial of [`identity`](Aggregate::identity), merged with another one on either side,
///   changes nothing.
/// * [`merge`](Aggregate::merge) is associative.
/// * Adding all values gives what partials of any two parts give, merged, and those of all single
///   values.
/// * [`add_rows`](Aggregate::add_rows) does what [`add`](Aggregate::add) does row by row.
/// * [`unmerge`](Aggregate::unmerge) undoes `merge` if the aggregate
///   [is invertible](Aggregate::is_invertible).
/// * A partial that was [saved](Aggregate::save_partial) and loaded goes on as before, if partials
///   [can be saved](Aggregate::partial_saved_as).
/// * The order of the values does not show unless the aggregate
///   [is ordered](Aggregate::is_ordered).
///
/// Results are the same if they are equal or, as NaN does, print alike; so are any two errors.
/// [`check_laws_by`] lets floats differ by what rounding does. Lists with some unlike values, and
/// empty ones, find the most; in the test of a program a generator such as proptest makes them.
///
/// ```
/// use tidemill::{Aggregate, Result, check_laws};
///
/// struct Longest;
///
/// impl Aggregate<String> for Longest {
///     type Partial = String;
///     type Output = String;
///
///     fn identity(&self) -> String {
///         String::new()
///     }
///
///     fn add(&self, partial: &mut String, value: &str) -> Result<()> {
///         if value.len() > partial.len() {
///             *partial = value.to_owned();
///         }
///         Ok(())
///     }
///
///     fn merge(&self, into: &mut String, later: &String) -> Result<()> {
///         self.add(into, later)
///     }
///
///     fn finish(&self, partial: &String) -> Result<String> {
///         Ok(partial.clone())
///     }
/// }
///
/// check_laws(&Longest, &["a", "bcd", "ef"].map(String::from)).unwrap();
/// // Of two words of the same length the first one wins, so their order shows.
/// let broken = check_laws(&Longest, &["a", "bcd", "efg"].map(String::from)).unwrap_err();
/// assert!(broken.starts_with("the order of the values shows"), "{broken}");
/// ```
pub fn check_laws<V, A>(aggregate: &A, values: &[V]) -> Result<(), String>
where
    V: Record,
    A: Aggregate<V>,
    A::Output: PartialEq + Debug,
{
    check_laws_by(aggregate, values, |left, right| {
        left == right || format!("{left:?}") == format!("{right:?}")
    })
}

/// As [`check_laws`], where the caller says which results are the same: of floats those that are
/// close.
///
/// ```
/// use tidemill::{Sum, check_laws, check_laws_by};
///
/// let values = [0.1, 0.2, 0.3, -0.3];
/// assert!(check_laws(&Sum, &values).unwrap_err().starts_with("merge is not associative"));
/// check_laws_by(&Sum, &values, |a: &f64, b: &f64| (a - b).abs() < 1e-12).unwrap();
/// ```
pub fn check_laws_by<V, A>(
    aggregate: &A,
    values: &[V],
    same: impl Fn(&A::Output, &A::Output) -> bool,
) -> Result<(), String>
where
    V: Record,
    A: Aggregate<V>,
    A::Output: Debug,
{
    let laws = Laws { aggregate, values, same };
    laws.identity_is_neutral()?;
    laws.merge_is_associative()?;
    laws.parts_are_the_whole()?;
    laws.rows_are_values()?;
    laws.unmerge_undoes_merge()?;
    laws.what_is_saved_comes_back()?;
    laws.order_does_not_show()
}

struct Laws<'a, V, A, S> {
    aggregate: &'a A,
    values: &'a [V],
    same: S,
}

impl<V, A, S> Laws<'_, V, A, S>
where
    V: Record,
    A: Aggregate<V>,
    A::Output: Debug,
    S: Fn(&A::Output, &A::Output) -> bool,
{
    fn identity_is_neutral(&self) -> Result<(), String> {
        const LAW: &str = "the identity is not neutral";
        for cut in self.cuts() {
            let identity = || Ok(self.aggregate.identity());
            let (part, rest) = (self.of(0..cut), cut..self.values.len());
            let (left, right) = (self.merged(identity(), &part), self.merged(part, &identity()));
            let all = self.of(0..self.values.len());
            let part = self.of(0..cut);
            self.expect(LAW, &[cut], ("identity + a", left.clone()), ("a", part.clone()))?;
            self.expect(LAW, &[cut], ("a + identity", right.clone()), ("a", part))?;
            // What does not show at once may show in what comes later.
            let (left, right) = (self.added(left, rest.clone()), self.added(right, rest));
            self.expect(LAW, &[cut], ("identity + a, then b", left), ("a, then b", all.clone()))?;
            self.expect(LAW, &[cut], ("a + identity, then b", right), ("a, then b", all))?;
        }
        Ok(())
    }

    fn merge_is_associative(&self) -> Result<(), String> {
        for (first, second) in self.pairs_of_cuts() {
            let a = || self.of(0..first);
            let b = self.of(first..second);
            let c = self.of(second..self.values.len());
            let left = self.merged(self.merged(a(), &b), &c);
            let right = self.merged(a(), &self.merged(b, &c));
            let law = "merge is not associative";
            self.expect(law, &[first, second], ("(a + b) + c", left), ("a + (b + c)", right))?;
        }
        Ok(())
    }

    fn parts_are_the_whole(&self) -> Result<(), String> {
        const LAW: &str = "adding values is not merging their partials";
        let len = self.values.len();
        for cut in self.cuts() {
            let parts = self.merged(self.of(0..cut), &self.of(cut..len));
            self.expect(LAW, &[cut], ("a + b", parts), ("all values", self.of(0..len)))?;
        }
        let mut singles = Ok(self.aggregate.identity());
        for at in 0..len {
            singles = self.merged(singles, &self.of(at..at + 1));
        }
        self.expect(LAW, &[], ("each by itself", singles), ("all values", self.of(0..len)))
    }

    fn rows_are_values(&self) -> Result<(), String> {
        const GROUPS: usize = 3;
        let group_of = |row: usize| row % GROUPS;
        // In two calls, so that the second one finds partials with values in them.
        let middle = self.values.len() / 2;
        let mut by_rows = vec![self.aggregate.identity(); GROUPS];
        let mut added = Ok(());
        for range in [0..middle, middle..self.values.len()] {
            let mut rows = V::Columns::default();
            self.values[range.clone()].iter().for_each(|value| rows.push(value.to_ref()));
            let ids: Vec<u32> = range.map(|row| group_of(row) as u32).collect();
            added = added.and_then(|()| self.aggregate.add_rows(&mut by_rows, &ids, &rows));
        }
        let mut one_by_one = vec![self.aggregate.identity(); GROUPS];
        let mut values = (0..).zip(self.values);
        let each = values.try_for_each(|(row, value)| {
            self.aggregate.add(&mut one_by_one[group_of(row)], value.to_ref())
        });
        for (by_rows, one_by_one) in by_rows.into_iter().zip(one_by_one) {
            let by_rows = added.clone().map(|()| by_rows);
            let one_by_one = each.clone().map(|()| one_by_one);
            let law = "add_rows is not add, row by row";
            self.expect(law, &[], ("add_rows", by_rows), ("add", one_by_one))?;
        }
        Ok(())
    }

    fn unmerge_undoes_merge(&self) -> Result<(), String> {
        if !self.aggregate.is_invertible() {
            return Ok(());
        }
        let unmerged = |from: Result<A::Partial>, first: &Result<A::Partial>| {
            let (mut from, first) = (from?, first.as_ref().map_err(Clone::clone)?);
            self.aggregate.unmerge(&mut from, first).map(|()| from)
        };
        for (first, second) in self.pairs_of_cuts() {
            let law = "unmerge does not undo merge";
            let (a, b) = (self.of(0..first), self.of(first..second));
            let c = self.of(second..self.values.len());
            let all = self.merged(self.merged(a.clone(), &b), &c);
            let without_a = unmerged(all, &a);
            let expected = self.merged(b.clone(), &c);
            let cuts = [first, second];
            self.expect(law, &cuts, ("a + b + c - a", without_a.clone()), ("b + c", expected))?;
            self.expect(law, &cuts, ("a + b + c - a - b", unmerged(without_a, &b)), ("c", c))?;
        }
        Ok(())
    }

    fn what_is_saved_comes_back(&self) -> Result<(), String> {
        const LAW: &str = "what is saved does not come back";
        if self.aggregate.partial_saved_as().is_none() {
            return Ok(());
        }
        let len = self.values.len();
        for cut in self.cuts() {
            let Ok(part) = self.of(0..cut) else { continue };
            let mut bytes = Vec::new();
            self.aggregate.save_partial(&part, &mut bytes);
            let saved = bytes.len();
            if saved == 0 {
                return Err(format!("{LAW}: a partial of {cut} values is saved as no byte"));
            }
            // More than one partial may follow.
            self.aggregate.save_partial(&part, &mut bytes);
            let mut rest = bytes.as_slice();
            let loaded = self.aggregate.load_partial(&mut rest);
            if rest != &bytes[saved..] {
                let left = rest.len();
                return Err(format!("{LAW}: {saved} of {} bytes, {left} left", bytes.len()));
            }
            let again = self.added(loaded.clone(), cut..len);
            self.expect(LAW, &[cut], ("a, loaded", loaded), ("a", Ok(part)))?;
            self.expect(LAW, &[cut], ("a, loaded, then b", again), ("a, then b", self.of(0..len)))?;
            let ends = (0..CUTS_MAX).map(|cut| cut * saved / CUTS_MAX).chain([saved - 1]);
            for end in ends {
                if self.aggregate.load_partial(&mut &bytes[..end]).is_ok() {
                    return Err(format!("{LAW}: {end} of {saved} bytes are enough"));
                }
            }
        }
        Ok(())
    }

    fn order_does_not_show(&self) -> Result<(), String> {
        const LAW: &str = "the order of the values shows, which is_ordered denies";
        if self.aggregate.is_ordered() {
            return Ok(());
        }
        let len = self.values.len();
        let all = || ("in order", self.of(0..len));
        let reversed = self.of((0..len).rev());
        self.expect(LAW, &[], ("in reverse", reversed), all())?;
        for cut in self.cuts() {
            let turned = self.of((cut..len).chain(0..cut));
            self.expect(LAW, &[cut], ("b, then a", turned), all())?;
            let swapped = self.merged(self.of(cut..len), &self.of(0..cut));
            self.expect(LAW, &[cut], ("b + a", swapped), all())?;
        }
        Ok(())
    }

    /// Places to cut the values at, both ends among them.
    fn cuts(&self) -> impl Iterator<Item = usize> + use<V, A, S> {
        let len = self.values.len();
        let pieces = len.clamp(1, CUTS_MAX);
        let last = if len == 0 { 0 } else { pieces };
        (0..=last).map(move |cut| cut * len / pieces)
    }

    fn pairs_of_cuts(&self) -> impl Iterator<Item = (usize, usize)> {
        self.cuts().flat_map(|first| {
            let seconds = self.cuts().filter(move |&second| second >= first);
            seconds.map(move |second| (first, second))
        })
    }

    /// The partial of the values at these positions.
    fn of(&self, positions: impl Iterator<Item = usize>) -> Result<A::Partial> {
        self.added(Ok(self.aggregate.identity()), positions)
    }

    fn added(
        &self,
        partial: Result<A::Partial>,
        mut positions: impl Iterator<Item = usize>,
    ) -> Result<A::Partial> {
        let mut partial = partial?;
        let added =
            positions.try_for_each(|at| self.aggregate.add(&mut partial, self.values[at].to_ref()));
        added.map(|()| partial)
    }

    fn merged(&self, into: Result<A::Partial>, later: &Result<A::Partial>) -> Result<A::Partial> {
        let (mut into, later) = (into?, later.as_ref().map_err(Clone::clone)?);
        self.aggregate.merge(&mut into, later).map(|()| into)
    }

    /// Compares what two ways to the same partial give.
    fn expect(
        &self,
        law: &str,
        cuts: &[usize],
        (left_way, left): (&str, Result<A::Partial>),
        (right_way, right): (&str, Result<A::Partial>),
    ) -> Result<(), String> {
        let left = left.and_then(|partial| self.aggregate.finish(&partial));
        let right = right.and_then(|partial| self.aggregate.finish(&partial));
        let is_same = match (&left, &right) {
            (Ok(left), Ok(right)) => (self.same)(left, right),
            (left, right) => left.is_err() && right.is_err(),
        };
        if is_same {
            return Ok(());
        }
        let cuts: Vec<String> = cuts.iter().map(usize::to_string).collect();
        let place = match cuts.as_slice() {
            [] => String::new(),
            cuts => format!(" with {} values cut at {}", self.values.len(), cuts.join(" and ")),
        };
        Err(format!("{law}:{place} {left_way} gives {left:?}, but {right_way} gives {right:?}"))
    }
}
