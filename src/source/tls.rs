//! TLS for connections, by rustls: certificates and keys from PEM files, and a stream that never
//! waits.
//!
//! Invariant: a connection ends only by the peer's `close_notify`. Without it somebody on the way
//! may have cut off the rest, so it is broken, and its unfinished line is no line.

use std::io::{self, ErrorKind, Read, Write};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, Connection, RootCertStore};
use rustls::{ServerConfig, ServerConnection};

use crate::error::{self, Error, Result, io_within};

/// What a connection shows of itself, and whom it trusts: for [`Listen`](crate::Listen) and
/// [`Socket`](crate::Socket).
///
/// TLS 1.2 and 1.3 are spoken, with the algorithms that rustls holds to be safe. There is no way to
/// leave the peer's certificate unchecked. Certificates are read when they are given here: new ones
/// are used after a restart.
///
/// ```no_run
/// use tidemill::{Listen, Socket, Tls};
///
/// // A server that only those may send to who have a certificate of this authority.
/// let own = Tls::new().identity("server.pem", "server.key")?.authority("clients.pem")?;
/// let listen = Listen::bind("0.0.0.0:9999")?.tls(&own)?;
/// // A client of another server.
/// let socket = Socket::connect("logs.example:9998")?.tls(&Tls::new().authority("ca.pem")?)?;
/// # Ok::<(), tidemill::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Tls {
    identity: Option<Arc<Identity>>,
    authority: Option<Arc<RootCertStore>>,
}

#[derive(Debug)]
struct Identity {
    /// The certificate and those that lead to its authority.
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Tls {
    /// Shows nothing of itself, and trusts nobody.
    pub fn new() -> Tls {
        Tls::default()
    }

    /// Shows the certificate in a PEM file, with those that lead to its authority after it, whose
    /// key is in another one. A server has to; a client does where servers ask for it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), with the path, if a file cannot be read or
    /// holds no certificate or key.
    pub fn identity(self, chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Tls> {
        let (chain, path) = (certificates(chain.as_ref())?, key.as_ref());
        let key = PrivateKeyDer::from_pem_file(path)
            .map_err(|error| cannot(format!("cannot use the key in {}", path.display()), error))?;
        Ok(Tls { identity: Some(Arc::new(Identity { chain, key })), ..self })
    }

    /// Trusts peers with a certificate of the authorities in a PEM file, and no others. A client
    /// has to; a server that does refuses clients without such a certificate.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), with the path, if the file cannot be read
    /// or holds what is no certificate of an authority.
    pub fn authority(self, certificates: impl AsRef<Path>) -> Result<Tls> {
        let path = certificates.as_ref();
        let mut authority = RootCertStore::empty();
        for certificate in self::certificates(path)? {
            authority.add(certificate).map_err(|error| {
                cannot(format!("cannot trust a certificate in {}", path.display()), error)
            })?;
        }
        Ok(Tls { authority: Some(Arc::new(authority)), ..self })
    }

    /// The settings of a server.
    ///
    /// # Errors
    ///
    /// That there is no identity, or its key is not that of its certificate.
    pub(super) fn server(&self) -> Result<Arc<ServerConfig>> {
        let wrong = |error| cannot("a server cannot have this TLS identity".to_owned(), error);
        let Some(identity) = &self.identity else {
            let message = "a TLS server needs a certificate and its key: Tls::identity";
            return Err(Error::new(error::ErrorKind::Config, message));
        };
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(wrong)?;
        let builder = match &self.authority {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(authority.clone(), provider());
                let verifier = verifier.build().map_err(|error| {
                    cannot("cannot check the certificates of clients".to_owned(), error)
                })?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let (chain, key) = (identity.chain.clone(), identity.key.clone_key());
        builder.with_single_cert(chain, key).map(Arc::new).map_err(wrong)
    }

    /// The settings of a client.
    ///
    /// # Errors
    ///
    /// That no authority is trusted, or the key is not that of its certificate.
    pub(super) fn client(&self) -> Result<Arc<ClientConfig>> {
        let wrong = |error| cannot("a client cannot have this TLS identity".to_owned(), error);
        let Some(authority) = &self.authority else {
            let message = "a TLS client needs an authority that it trusts: Tls::authority";
            return Err(Error::new(error::ErrorKind::Config, message));
        };
        let verifier = WebPkiServerVerifier::builder_with_provider(authority.clone(), provider());
        let verifier = verifier.build().map_err(|error| {
            cannot("cannot check the certificates of servers".to_owned(), error)
        })?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(wrong)?
            .with_webpki_verifier(verifier);
        Ok(Arc::new(match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = (identity.chain.clone(), identity.key.clone_key());
                builder.with_client_auth_cert(chain, key).map_err(wrong)?
            }
        }))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let what = || format!("cannot use the certificates in {}", path.display());
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let found: Vec<_> = found.map_err(|error| cannot(what(), error))?;
    if found.is_empty() {
        let message = format!("{}: there is none", what());
        return Err(Error::new(error::ErrorKind::Config, message));
    }
    Ok(found)
}

fn cannot(message: String, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::caused(error::ErrorKind::Config, message, cause)
}

/// The name of a server that its certificate has to be for.
pub(super) fn server_name(host: &str) -> Result<ServerName<'static>> {
    let name = match host.parse::<IpAddr>() {
        Ok(address) => Ok(ServerName::from(address)),
        Err(_) => ServerName::try_from(host.to_owned()),
    };
    name.map_err(|error| cannot(format!("{host:?} is no name that a certificate has"), error))
}

/// A connection by TLS.
pub(super) struct TlsStream {
    tcp: TcpStream,
    tls: Connection,
}

impl TlsStream {
    /// The server's side of a connection. Nothing is sent yet.
    pub(super) fn server(tcp: TcpStream, config: Arc<ServerConfig>) -> io::Result<TlsStream> {
        let tls = ServerConnection::new(config).map_err(io::Error::other)?;
        Ok(TlsStream { tcp, tls: tls.into() })
    }

    /// The client's side of a connection. Nothing is sent yet.
    pub(super) fn client(
        tcp: TcpStream,
        config: Arc<ClientConfig>,
        server: ServerName<'static>,
    ) -> io::Result<TlsStream> {
        let tls = ClientConnection::new(config, server).map_err(io::Error::other)?;
        Ok(TlsStream { tcp, tls: tls.into() })
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    pub(super) fn read_raw(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.tcp.read(into)
    }

    /// Sends what TLS has to say, as far as there is room for it.
    fn send(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.tcp) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Read for TlsStream {
    /// Reads what was unpacked before, or reads once from the connection. `Interrupted` says that
    /// what came was none of the data: a call makes one system call for input at most, so that
    /// others have their turn.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.tls.reader().read(into) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                let message = "TLS: it ended without a close_notify, so the rest may be cut off";
                return Err(io::Error::new(ErrorKind::UnexpectedEof, message));
            }
            read => return read,
        }
        // A peer that takes none of what TLS has to say still may send data.
        match self.send() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        self.tls.read_tls(&mut self.tcp)?;
        if let Err(error) = self.tls.process_new_packets() {
            // The peer hears why, if it takes that at once.
            let _ = self.send();
            return Err(io_within("TLS", io::Error::new(ErrorKind::InvalidData, error)));
        }
        match self.send() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        match self.tls.reader().read(into) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                Err(ErrorKind::Interrupted.into())
            }
            // What it is is said at the next call.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                Err(ErrorKind::Interrupted.into())
            }
            read => read,
        }
    }
}

impl Write for TlsStream {
    /// Takes something only when all that was taken before has gone out.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.tls.is_handshaking() {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.send()?;
        let count = self.tls.writer().write(bytes)?;
        match self.send() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(count),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

impl Drop for TlsStream {
    /// Signs the end, as far as the peer takes it at once.
    fn drop(&mut self) {
        self.tls.send_close_notify();
        let _ = self.send();
    }
}
