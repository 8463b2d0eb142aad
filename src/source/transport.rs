//! The bytes of a TCP connection, as they are or by TLS.
//!
//! Invariant: whoever reads and writes need not know which of the two it is. A read or write that
//! would have to wait is `WouldBlock`, and an end that the peer has not signed is an error.

use std::io::{self, Read, Write};

use mio::net::TcpStream;

#[cfg(feature = "tls")]
use super::tls::TlsStream;

pub(super) enum Transport {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream>),
}

impl Transport {
    /// Whether the peer has not shown yet who it is: nothing that it sent is data.
    pub(super) fn is_handshaking(&self) -> bool {
        match self {
            Transport::Plain(_) => false,
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => stream.is_handshaking(),
        }
    }

    /// Reads what comes after the end of the data, which tells whether the connection was reset.
    pub(super) fn read_raw(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(stream) => stream.read(into),
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => stream.read_raw(into),
        }
    }
}

impl Read for Transport {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(stream) => stream.read(into),
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(stream) => stream.write(bytes),
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => stream.write(bytes),
        }
    }

    /// `WouldBlock` while something that was written has not gone out.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Transport::Plain(stream) => stream.flush(),
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => stream.flush(),
        }
    }
}
