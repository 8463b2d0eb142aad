//! The same work on every core: a task a thread, until there is nothing left to take.

/// Calls `work` with 0, 1, … `threads - 1`, on as many threads of the current pool as are free.
///
/// The caller's thread is a member of the pool and runs number 0; a number whose thread did not
/// wake in time is run by whoever is done first, and finds nothing left to do.
pub(super) fn fan_out(threads: usize, work: &(impl Fn(usize) + Sync)) {
    fan_out_range(0, threads, work);
}

fn fan_out_range(start: usize, end: usize, work: &(impl Fn(usize) + Sync)) {
    if end - start == 1 {
        return work(start);
    }
    let middle = start.midpoint(end);
    rayon::join(|| fan_out_range(start, middle, work), || fan_out_range(middle, end, work));
}
