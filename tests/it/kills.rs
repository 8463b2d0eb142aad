//! SIGKILL at random moments, of a program and of the command: started again until all is through,
//! they have counted each line once. `TIDEMILL_KILLS` sets how often.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use crate::child;
use crate::lives::{self, Lives};
use crate::random::Random;

fn sleep_below(millis: usize, random: &mut Random) {
    std::thread::sleep(Duration::from_millis(random.below(millis) as u64));
}

#[test]
fn kills_at_random_moments() {
    if child::is_child() {
        return lives::live();
    }
    let kills = std::env::var("TIDEMILL_KILLS").map(|kills| kills.parse().expect("a number"));
    let is_long = std::env::var_os("TIDEMILL_LONG").is_some();
    let kills = kills.unwrap_or(if is_long { 100 } else { 10 });
    let mut random = Random::new(3);
    let mut lives = Lives::new("kills::kills_at_random_moments");
    let mut have_advanced = 0;
    for kill in 0..kills {
        lives.append(&mut random);
        let before = lives.checkpoint();
        // Some do not even come to their first batch.
        let mut process = if random.below(4) == 0 { lives.spawn(&[]) } else { lives.start() };
        for _ in 0..random.below(3) {
            sleep_below(40, &mut random);
            lives.append(&mut random);
        }
        sleep_below(40, &mut random);
        process.kill().unwrap();
        let status = process.wait().unwrap();
        assert_eq!(status.signal(), Some(9), "before kill {kill}: {status}");
        have_advanced += usize::from(lives.checkpoint() > before);
    }
    assert!(have_advanced > 0, "all is left to the last life");
    lives.finish();
    // What is lost or doubled has failed.
    eprintln!(
        "kills of a program that follows: {kills} kills, 0 lost, 0 doubled (TIDEMILL_KILLS={kills})"
    );
}
