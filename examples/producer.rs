//! A producer that loses nothing and is counted once: it keeps what is not acknowledged, connects
//! again whenever the connection ends, and goes on where the server says.
//!
//! ```text
//! tidemill wordcount --listen 127.0.0.1:9999 --running --checkpoint counts --acknowledge
//! cargo run --example producer -- 127.0.0.1:9999 web-1 < words.txt
//! ```
//!
//! The protocol is in the documentation of `Listen::acknowledging`. Lines are kept in memory: a
//! producer that is to survive its own end keeps them, and how much is acknowledged, in a file.

use std::collections::VecDeque;
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Bytes that are kept at most: as many as the server may be behind.
const KEPT_BYTES_MAX: usize = 16 << 20;

/// Between two attempts to connect.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// How long to sleep when there is nothing to send and nothing to hear.
const PAUSE: Duration = Duration::from_millis(1);

/// One stream of lines, and the connection that carries it for now.
pub struct Producer {
    address: String,
    id: String,
    /// The bytes of the stream that are not acknowledged, and the offset of the first of them.
    kept: VecDeque<u8>,
    acknowledged: u64,
    /// The offset of the next byte to send over this connection, once the server has said it.
    next: Option<u64>,
    connection: Option<TcpStream>,
    /// What was read of the next number.
    heard: Vec<u8>,
    connect_at: Instant,
}

impl Producer {
    /// A producer with a new stream. No other one may have its id.
    pub fn new(address: &str, id: &str) -> Producer {
        Producer {
            address: address.to_owned(),
            id: id.to_owned(),
            kept: VecDeque::new(),
            acknowledged: 0,
            next: None,
            connection: None,
            heard: Vec::new(),
            connect_at: Instant::now(),
        }
    }

    /// Bytes that are not acknowledged.
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Appends a line, given without its end, to the stream. Waits where too much is kept.
    ///
    /// # Errors
    ///
    /// What the server refuses. All else is tried again.
    pub fn send(&mut self, line: &str) -> io::Result<()> {
        self.kept.extend(line.as_bytes());
        self.kept.push_back(b'\n');
        while self.kept.len() > KEPT_BYTES_MAX {
            self.wait()?;
        }
        Ok(())
    }

    /// Waits until all is acknowledged.
    pub fn finish(&mut self) -> io::Result<()> {
        while !self.kept.is_empty() {
            self.wait()?;
        }
        Ok(())
    }

    /// Sends and hears what it can, and sleeps if that was nothing.
    pub fn wait(&mut self) -> io::Result<()> {
        if !self.step()? {
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Sends and hears what it can; whether that was anything.
    pub fn step(&mut self) -> io::Result<bool> {
        if self.connection.is_none() && !self.connect() {
            return Ok(false);
        }
        match self.exchange() {
            // What the server says of itself is no trouble of the connection.
            Err(error) if error.kind() == ErrorKind::InvalidData => Err(error),
            Err(_) => {
                self.connection = None;
                self.connect_at = Instant::now() + RETRY_AFTER;
                Ok(false)
            }
            Ok(has_moved) => Ok(has_moved),
        }
    }

    /// Connects and greets, if it is time to; whether there is a connection.
    fn connect(&mut self) -> bool {
        if Instant::now() < self.connect_at {
            return false;
        }
        self.connect_at = Instant::now() + RETRY_AFTER;
        let greeting = format!("TIDEMILL/1 producer={} from={}\n", self.id, self.acknowledged);
        let connected = TcpStream::connect(&self.address).and_then(|mut stream| {
            stream.write_all(greeting.as_bytes())?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        });
        self.heard.clear();
        self.next = None;
        self.connection = connected.ok();
        self.connection.is_some()
    }

    fn exchange(&mut self) -> io::Result<bool> {
        let Some(connection) = &mut self.connection else { return Ok(false) };
        let mut has_moved = false;
        if let Some(next) = &mut self.next {
            // The two halves of the queue, from the next byte on.
            let sent = (*next - self.acknowledged) as usize;
            let (front, back) = self.kept.as_slices();
            let rest = match front.get(sent..) {
                Some(rest) if !rest.is_empty() => rest,
                _ => &back[sent - front.len()..],
            };
            if !rest.is_empty() {
                match connection.write(rest) {
                    Ok(count) => {
                        *next += count as u64;
                        has_moved = true;
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let mut bytes = [0; 4096];
        match connection.read(&mut bytes) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => self.heard.extend_from_slice(&bytes[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(has_moved),
            Err(error) => return Err(error),
        }
        while let Some(end) = self.heard.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.heard.drain(..=end).collect();
            self.hear(String::from_utf8_lossy(&line).trim_end())?;
        }
        Ok(true)
    }

    /// A line of the server: so much of the stream is safe, and it begins there the first time.
    fn hear(&mut self, line: &str) -> io::Result<()> {
        let invalid = |reason: String| Err(io::Error::new(ErrorKind::InvalidData, reason));
        let Ok(safe) = line.parse::<u64>() else {
            return invalid(format!("the server says {line:?}"));
        };
        let Some(count) = safe.checked_sub(self.acknowledged).map(|count| count as usize) else {
            return invalid(format!("the server has {safe} bytes, after {}", self.acknowledged));
        };
        if count > self.kept.len() {
            let id = &self.id;
            return invalid(format!("the server knows another stream of {id}: take another id"));
        }
        self.kept.drain(..count);
        self.acknowledged = safe;
        self.next.get_or_insert(safe);
        Ok(())
    }
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, id] = &arguments[..] else {
        eprintln!("usage: producer HOST:PORT ID < LINES");
        std::process::exit(2);
    };
    let mut producer = Producer::new(address, id);
    for line in io::stdin().lock().lines() {
        producer.send(&line?)?;
        producer.step()?;
    }
    producer.finish()
}
