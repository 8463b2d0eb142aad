//! Who may send lines, and how connections are made safe: the options of `--listen` and
//! `--connect`.

use std::fs::File;
use std::io::Read;
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};

#[cfg(feature = "tls")]
use tidemill::Tls;
use tidemill::{Listen, Socket};

use crate::failure::Failure;

/// Bytes of a secret's file that are read: what is longer is no secret.
const SECRET_FILE_BYTES_MAX: u64 = 4 << 10;

#[derive(clap::Args, Debug)]
#[group(skip)]
pub(crate) struct Args {
    /// Listen at an address that other machines reach, and take lines of anybody there
    #[arg(long, requires = "listen")]
    public: bool,

    /// Take lines only of who says the secret in FILE first, by a line TIDEMILL/1 secret=SECRET;
    /// without TLS who is on the way can read it
    #[arg(long, value_name = "FILE", requires = "listen")]
    secret_file: Option<PathBuf>,

    /// Show who connects this certificate, by TLS: a PEM file, with those that lead to its
    /// authority. With --connect: show it to the server
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The key of --tls-cert, a PEM file
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Take lines only of who has a certificate of the authorities in this PEM file. With
    /// --connect: connect by TLS, to a server with such a certificate
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
}

impl Args {
    /// Refuses options without what they are for, and an address that others reach while nothing
    /// is said of who may send.
    pub(crate) fn check(&self, listen: Option<&str>, connect: Option<&str>) -> Result<(), Failure> {
        self.check_tls(listen.is_some(), connect.is_some())?;
        // Where another input is named, clap does not ask for what these require.
        if listen.is_none() && (self.public || self.secret_file.is_some()) {
            let message = "--public and --secret-file are for --listen: who may send to it";
            return Err(Failure::Usage(message.to_owned()));
        }
        let Some(address) = listen.filter(|address| !is_loopback(address)) else { return Ok(()) };
        if self.public || self.secret_file.is_some() || self.knows_clients() {
            return Ok(());
        }
        let certificates = match cfg!(feature = "tls") {
            true => "--tls-cert, --tls-key and --tls-ca (clients with certificates), ",
            false => "",
        };
        Err(Failure::Usage(format!(
            "--listen {address} lets other machines send lines, and nothing says which: add \
             --secret-file (clients that say a secret), {certificates}or --public (anybody); \
             127.0.0.1 is for this machine only"
        )))
    }

    /// The server, for those who may send.
    pub(crate) fn listen(&self, mut listen: Listen) -> Result<Listen, Failure> {
        if let Some(path) = &self.secret_file {
            listen = listen.secret(secret(path)?).map_err(|error| {
                Failure::Usage(format!("--secret-file {}: {error}", path.display()))
            })?;
        }
        self.listen_by_tls(listen)
    }
}

#[cfg(feature = "tls")]
impl Args {
    fn check_tls(&self, listens: bool, connects: bool) -> Result<(), Failure> {
        let (has_identity, has_authority) = (self.tls_cert.is_some(), self.tls_ca.is_some());
        let message = match (listens, connects) {
            (true, _) if has_authority && !has_identity => {
                "--tls-ca with --listen needs --tls-cert and --tls-key: the server's own"
            }
            (_, true) if has_identity && !has_authority => {
                "--tls-cert with --connect needs --tls-ca: the authority of the server"
            }
            (false, false) if has_identity || has_authority => {
                "--tls-cert, --tls-key and --tls-ca are for --listen and --connect"
            }
            _ => return Ok(()),
        };
        Err(Failure::Usage(message.to_owned()))
    }

    /// Whether only clients with certificates are let in.
    fn knows_clients(&self) -> bool {
        self.tls_cert.is_some() && self.tls_ca.is_some()
    }

    fn listen_by_tls(&self, listen: Listen) -> Result<Listen, Failure> {
        match self.tls()? {
            Some(tls) => Ok(listen.tls(&tls)?),
            None => Ok(listen),
        }
    }

    /// The client of a server, by TLS if that is asked for.
    pub(crate) fn connect(&self, socket: Socket) -> Result<Socket, Failure> {
        match self.tls()? {
            Some(tls) => Ok(socket.tls(&tls)?),
            None => Ok(socket),
        }
    }

    fn tls(&self) -> Result<Option<Tls>, Failure> {
        let files = [&self.tls_cert, &self.tls_key, &self.tls_ca];
        for path in files.iter().filter_map(|path| path.as_ref()) {
            open(path)?;
        }
        let mut tls = None;
        if let (Some(chain), Some(key)) = (&self.tls_cert, &self.tls_key) {
            tls = Some(Tls::new().identity(chain, key)?);
        }
        if let Some(authority) = &self.tls_ca {
            tls = Some(tls.unwrap_or_default().authority(authority)?);
        }
        Ok(tls)
    }
}

#[cfg(not(feature = "tls"))]
impl Args {
    fn check_tls(&self, _: bool, _: bool) -> Result<(), Failure> {
        Ok(())
    }

    fn knows_clients(&self) -> bool {
        false
    }

    fn listen_by_tls(&self, listen: Listen) -> Result<Listen, Failure> {
        Ok(listen)
    }

    pub(crate) fn connect(&self, socket: Socket) -> Result<Socket, Failure> {
        Ok(socket)
    }
}

/// Whether an address is reached from this machine only. What cannot be looked up is left to who
/// binds it.
fn is_loopback(address: &str) -> bool {
    let port = address.strip_prefix(':').unwrap_or(address);
    if port.parse::<u16>().is_ok() {
        return true;
    }
    let Ok(addresses) = address.to_socket_addrs() else { return true };
    let mut addresses = addresses.map(|address| address.ip().to_canonical());
    addresses.all(|address| address.is_loopback())
}

/// The secret in the first line of a file.
fn secret(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    open(path)?.take(SECRET_FILE_BYTES_MAX).read_to_string(&mut text).map_err(|error| {
        Failure::Input(format!("cannot read the secret in {}: {error}", path.display()))
    })?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path)
        .map_err(|error| Failure::Input(format!("cannot open {}: {error}", path.display())))
}
