//! Lines that need a second look, one by one: those over the maximum, those that are not UTF-8, and
//! quotes that stay open. What becomes of them is the source's [`LineOptions`] to say.

use memchr::memchr;

use super::{BlockWriter, add};
use crate::source::form::Form;
use crate::source::quoted::{CLOSING, Quoted};
use crate::source::word_ends::WordEnds;
use crate::source::{BadUtf8, Carry, LongLine};

impl BlockWriter {
    /// Takes in `fresh`, the carry and what was read after it, with a line over the maximum in it.
    #[cold]
    pub(super) fn fill_slowly(&mut self, carry: &mut Carry, mut fresh: &[u8]) {
        if carry.skipping {
            let end = match self.word_ends {
                Some(ends) => ends.first(fresh),
                None => memchr(b'\n', fresh).map(|at| (at, 1)),
            };
            // After a separator there is a word, even where the input ends.
            let held = self.word_ends.map_or(0, |ends| ends.held(fresh));
            let Some((at, len)) = end.filter(|&(at, _)| at < fresh.len() - held) else {
                let begun = self.word_ends.map_or(0, |ends| ends.begun(fresh));
                return carry.keep(&fresh[fresh.len() - begun..]);
            };
            fresh = &fresh[at + len..];
            carry.skipping = false;
        }
        let whole = self.form.whole(fresh, 0);
        let (lines, mut rest) = fresh.split_at(whole);
        self.push_lines(lines);
        if let Some(ends) = self.word_ends
            && rest.len() > self.line_bytes_max
            && let Some((at, len)) = ends.last(&rest[..rest.len() - ends.held(rest)])
        {
            self.split_line(&rest[..at], ends);
            rest = &rest[at + len..];
        }
        // One byte more: it may be the `\r` of a line end.
        let begun = self.word_ends.map_or(0, |ends| ends.begun(rest));
        if rest.len() - begun <= self.line_bytes_max + 1 {
            return carry.keep(rest);
        }
        // No cut and no verdict looks further than this.
        let head = &rest[..self.line_bytes_max + 2];
        match self.word_ends {
            Some(ends) => self.split_line(head, ends),
            None => self.push_lines(head),
        }
        carry.keep(&rest[rest.len() - begun..]);
        carry.skipping = true;
    }

    /// Appends lines that need a second look, each by the source's options.
    pub(super) fn push_lines(&mut self, lines: &[u8]) {
        let mut taken = Vec::with_capacity(lines.len());
        let mut rest = lines;
        while !rest.is_empty() {
            let end = self.form.end(rest).map_or(rest.len(), |feed| feed + 1);
            let line = rest.split_off(..end).expect("an end within the rest");
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            match self.word_ends {
                Some(ends) => self.split(line, ends, &mut taken),
                None => self.judge(line, &mut taken),
            }
        }
        self.append(&taken);
    }

    /// Appends a part of a line, as several lines within the maximum.
    fn split_line(&mut self, line: &[u8], ends: WordEnds) {
        let mut taken = Vec::with_capacity(line.len());
        self.split(line, ends, &mut taken);
        self.append(&taken);
    }

    /// Appends the line in pieces within the maximum, each as it may be taken.
    fn split(&self, line: &[u8], ends: WordEnds, taken: &mut Vec<u8>) {
        for piece in self.pieces(line, ends) {
            let is_bad = self.form.is_text() && std::str::from_utf8(piece).is_err();
            if !is_bad {
                push_line_to(piece, taken);
                continue;
            }
            if self.options.bad_utf8 == BadUtf8::Reject {
                add(&self.counters.lines_rejected, 1);
                continue;
            }
            add(&self.counters.lines_replaced, 1);
            // The replacement may be longer than what it replaces.
            let text = String::from_utf8_lossy(piece);
            for piece in self.pieces(text.as_bytes(), ends) {
                push_line_to(piece, taken);
            }
        }
    }

    /// The line, cut between words; of a word over the maximum the rest is left out, and counted.
    fn pieces<'a>(
        &'a self,
        line: &'a [u8],
        ends: WordEnds,
    ) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let max = self.line_bytes_max;
        let mut rest = Some(line);
        std::iter::from_fn(move || {
            let line = rest.take()?;
            if line.len() <= max {
                return Some(line);
            }
            if let Some((at, len)) = ends.last_within(line, max) {
                rest = Some(&line[at + len..]);
                return Some(&line[..at]);
            }
            add(&self.counters.words_cut, 1);
            rest = ends.first(line).map(|(at, len)| &line[at + len..]);
            Some(self.cut(line))
        })
    }

    /// Appends the line as it may be taken, if it may.
    fn judge(&self, line: &[u8], taken: &mut Vec<u8>) {
        let rejects_long = self.options.long_line == LongLine::Reject;
        if rejects_long && line.len() > self.line_bytes_max {
            return add(&self.counters.lines_rejected, 1);
        }
        let head = self.cut(line);
        let is_bad = self.form.is_text() && std::str::from_utf8(head).is_err();
        if is_bad && self.options.bad_utf8 == BadUtf8::Reject {
            return add(&self.counters.lines_rejected, 1);
        }
        let replaced = is_bad.then(|| String::from_utf8_lossy(head));
        // The replacement may be longer than what it replaces.
        let text = replaced.as_ref().map_or(head, |text| text.as_bytes());
        if rejects_long && text.len() > self.line_bytes_max {
            return add(&self.counters.lines_rejected, 1);
        }
        if is_bad {
            add(&self.counters.lines_replaced, 1);
        }
        if line.len().max(text.len()) > self.line_bytes_max {
            add(&self.counters.lines_cut, 1);
        }
        let text = self.cut(text);
        if let Form::Quoted(quoted) = self.form
            && quoted.is_open(text)
        {
            return self.close(quoted, text, taken);
        }
        push_line_to(text, taken);
    }

    /// Appends a record whose last quote is open, closed so that none takes it for a good one, and
    /// none after it for a part of it.
    #[cold]
    fn close(&self, quoted: Quoted, record: &[u8], taken: &mut Vec<u8>) {
        let Some(room) = self.line_bytes_max.checked_sub(CLOSING.len()) else {
            return add(&self.counters.lines_rejected, 1);
        };
        let start = taken.len();
        let head = self.cut_at(record, room);
        taken.extend_from_slice(head);
        if quoted.is_open(head) {
            taken.extend_from_slice(CLOSING);
        }
        if head.len() < record.len() {
            // As long as a line may be, which tells decoders that there was more.
            taken.resize(start + self.line_bytes_max, b' ');
        }
        taken.push(b'\n');
    }

    /// As much of the line as the maximum allows; of text, no half character.
    fn cut<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        self.cut_at(line, self.line_bytes_max)
    }

    fn cut_at<'a>(&self, line: &'a [u8], bytes_max: usize) -> &'a [u8] {
        if line.len() <= bytes_max {
            return line;
        }
        let continues = |&end: &usize| self.form.is_text() && line[end] & 0xC0 == 0x80;
        // A character has at most four bytes; what has more continuations is not text.
        let ends = (0..=bytes_max).rev().take(4);
        let end = ends.into_iter().find(|end| !continues(end)).unwrap_or(bytes_max);
        &line[..end]
    }
}

/// Appends a line, and its end.
fn push_line_to(text: &[u8], lines: &mut Vec<u8>) {
    lines.extend_from_slice(text);
    if text.ends_with(b"\r") {
        // Content, which would be part of the line end if it stood right before it.
        lines.push(b'\r');
    }
    lines.push(b'\n');
}
