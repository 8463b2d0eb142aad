//! Who may send by a connection, and how it is protected: addresses that others reach, a secret,
//! and TLS, by the command.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use rustls::{StreamOwned, crypto};
use tempfile::TempDir;

use crate::shell::{PATIENCE, Running, STREAM, assert_fails, file, run};

const SECRET: &str = "hush-4711-pohjoistuuli";

/// The certificates of one authority, and of another one.
struct Certificates {
    folder: TempDir,
}

impl Certificates {
    fn new() -> Certificates {
        let folder = tempfile::tempdir().expect("a folder");
        let own = Authority::new(&folder, "ca");
        own.sign(&folder, "server", &["localhost", "127.0.0.1"]);
        own.sign(&folder, "client", &["client"]);
        let other = Authority::new(&folder, "other-ca");
        other.sign(&folder, "other", &["localhost", "127.0.0.1"]);
        own.sign(&folder, "elsewhere", &["elsewhere.example"]);
        Certificates { folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("a path of ours").to_owned()
    }

    /// The options of a server that lets in clients with certificates.
    fn server_args(&self) -> Vec<String> {
        let files =
            [("--tls-cert", "server.pem"), ("--tls-key", "server.key"), ("--tls-ca", "ca.pem")];
        files.iter().flat_map(|(option, name)| [option.to_string(), self.path(name)]).collect()
    }

    fn roots(&self, authority: &str) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path(authority)).expect("one")).expect("one");
        roots
    }

    fn identity(&self, name: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let chain = CertificateDer::from_pem_file(self.path(&format!("{name}.pem"))).expect("one");
        let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).expect("one");
        (vec![chain], key)
    }

    /// A client that trusts this authority, and shows a certificate if it has one.
    fn client(&self, address: &str, trusts: &str, shows: Option<&str>) -> Tls {
        let provider = Arc::new(crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(self.roots(trusts));
        let config = match shows.map(|name| self.identity(name)) {
            Some((chain, key)) => config.with_client_auth_cert(chain, key).expect("a key of ours"),
            None => config.with_no_client_auth(),
        };
        let name = ServerName::try_from("localhost").expect("a name");
        let client = ClientConnection::new(Arc::new(config), name).expect("a client");
        StreamOwned::new(client, connect(address))
    }
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    fn new(folder: &TempDir, name: &str) -> Authority {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        file(folder, &format!("{name}.pem"), certificate.pem().as_bytes());
        Authority(Issuer::new(params, key))
    }

    fn sign(&self, folder: &TempDir, name: &str, names: &[&str]) {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let params = CertificateParams::new(names).expect("names");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        file(folder, &format!("{name}.pem"), certificate.pem().as_bytes());
        file(folder, &format!("{name}.key"), key.serialize_pem().as_bytes());
    }
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the command listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Sends this and ends its side; gives what the command answers.
fn send(address: &str, bytes: &[u8]) -> String {
    let mut stream = connect(address);
    // Whoever is refused may be disconnected before.
    let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
    answer(&mut stream)
}

/// What comes until the end of the connection, whatever that is.
fn answer(stream: &mut impl Read) -> String {
    let mut all = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("it waits for ever"),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

fn listening(args: &[String]) -> (Running, String) {
    let args: Vec<&str> = args.iter().map(|arg| &arg[..]).chain(STREAM).collect();
    Running::listen("wordcount", &args)
}

/// Stops it; gives all that was said, the words of the last totals, and the exit code.
fn stopped(running: Running) -> (String, Vec<String>, Option<i32>) {
    running.signal("TERM");
    let said = running.stderr_to_the_end().join("\n");
    let (status, rest) = running.end();
    (said, rest, status.code())
}

fn has_word(word: &'static str) -> impl FnMut(&str) -> bool {
    move |line| line.contains(&format!(",{word},"))
}

#[test]
fn an_address_that_others_reach_wants_a_word_on_who_may_send() {
    let certificates = Certificates::new();
    let secret = certificates.path("secret");
    std::fs::write(&secret, format!("{SECRET}\n")).expect("a file");
    let cert = certificates.path("server.pem");
    let key = certificates.path("server.key");
    let ca = certificates.path("ca.pem");
    let options = ["--public", "--secret-file", "--tls-cert", "--tls-key", "--tls-ca"];
    for address in ["0.0.0.0:0", "[::]:0", "[::ffff:0.0.0.0]:0"] {
        for subcommand in ["wordcount", "average"] {
            let message = &[&[address][..], &options[..]].concat();
            assert_fails(&run(&[subcommand, "--listen", address]), 2, message);
            // Anybody may send by TLS, too, unless clients need certificates.
            let tls = [subcommand, "--listen", address, "--tls-cert", &cert, "--tls-key", &key];
            assert_fails(&run(&tls), 2, message);
        }
    }
    let tls = ["--tls-cert", &cert, "--tls-key", &key, "--tls-ca", &ca];
    let safe: [(&str, &[&str]); 6] = [
        ("0.0.0.0:0", &["--public"]),
        ("0.0.0.0:0", &["--secret-file", &secret]),
        ("0.0.0.0:0", &tls),
        ("127.0.0.1:0", &[]),
        (":0", &[]),
        ("localhost:0", &[]),
    ];
    for (address, args) in safe {
        let running = Running::start(&[&["wordcount", "--listen", address], args].concat());
        let line = running.stderr.recv_timeout(PATIENCE).expect("it says where it listens");
        assert!(line.contains("listening on"), "{address} {args:?}: {line}");
        assert_eq!(stopped(running).2, Some(0));
    }
}

#[test]
fn options_without_what_they_are_for() {
    let certificates = Certificates::new();
    let names = ["server.pem", "server.key", "ca.pem"];
    let [cert, key, ca] = names.map(|name| certificates.path(name));
    let other_key = certificates.path("other.key");
    let empty = file(&certificates.folder, "empty", b"\n");
    let long = file(&certificates.folder, "long", &[b'x'; 300]);
    let missing = certificates.path("missing");
    let listen = ["wordcount", "--listen", "127.0.0.1:0"];
    let usage: [(&[&str], &str); 9] = [
        (&["--tls-cert", &cert], "--tls-key"),
        (&["--tls-key", &key], "--tls-cert"),
        (&["--tls-ca", &ca], "--tls-cert"),
        (&["--tls-cert", &ca, "--tls-key", &other_key], "TLS identity"),
        (&["--tls-cert", &key, "--tls-key", &key], &key),
        (&["--tls-cert", &cert, "--tls-key", &cert], &cert),
        (&["--tls-cert", &cert, "--tls-key", &key, "--tls-ca", &empty], &empty),
        (&["--secret-file", &empty], "1 to 256"),
        (&["--secret-file", &long], "1 to 256"),
    ];
    for (args, part) in usage {
        assert_fails(&run(&[&listen[..], args].concat()), 2, &[part]);
    }
    assert_fails(&run(&[&listen[..], &["--secret-file", &missing]].concat()), 3, &[&missing]);
    let args = ["--tls-cert", &missing, "--tls-key", &key];
    assert_fails(&run(&[&listen[..], &args].concat()), 3, &[&missing]);
    let socket = ["wordcount", "--connect", "127.0.0.1:1"];
    let args = ["--tls-cert", &cert, "--tls-key", &key];
    assert_fails(&run(&[&socket[..], &args].concat()), 2, &["--tls-ca"]);
    assert_fails(&run(&["wordcount", "--tls-ca", &ca, &cert]), 2, &["--listen", "--connect"]);
    assert_fails(&run(&["wordcount", "--public", &cert]), 2, &["--listen"]);
    assert_fails(&run(&["wordcount", "--secret-file", &key, &cert]), 2, &["--listen"]);
    let args = ["--secret-file", &key];
    assert_fails(&run(&[&socket[..], &args].concat()), 2, &["--listen"]);
}

#[test]
fn who_does_not_say_the_secret_is_disconnected_and_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = file(&folder, "secret", format!("{SECRET}\r\n").as_bytes());
    let (running, address) = listening(&["--secret-file".to_owned(), path]);
    let almost = &SECRET[..SECRET.len() - 1];
    let refused = [
        "intruder\n".to_owned(),
        format!("{SECRET}\nintruder\n"),
        "TIDEMILL/1\nintruder\n".to_owned(),
        format!("TIDEMILL/1 secret={almost}\nintruder\n"),
        format!("TIDEMILL/1 secret={SECRET}x\nintruder\n"),
        format!("TIDEMILL/1 Secret={SECRET}\nintruder\n"),
        format!("TIDEMILL/1 secret={SECRET} secret={SECRET}\nintruder\n"),
        format!("TIDEMILL/{SECRET}\nintruder\n"),
        "TIDEMILL/1 secret=".to_owned(),
        format!("TIDEMILL/1 secret={}", "x".repeat(100_000)),
        format!("TIDEMILL/1 secret={SECRET} producer=p\nintruder\n"),
    ];
    for first in &refused {
        let answer = send(&address, first.as_bytes());
        assert!(answer.is_empty() || answer.starts_with("refused "), "{first:?}: {answer:?}");
        assert!(!answer.contains(SECRET), "{answer:?}");
    }
    // One that says nothing is none, and one may say it byte by byte.
    assert_eq!(send(&address, b""), "");
    let mut slow = connect(&address);
    for byte in format!("TIDEMILL/1 secret={SECRET}\r\nfriend\n").bytes() {
        slow.write_all(&[byte]).expect("the command reads");
    }
    running.wait_for(has_word("friend"));
    drop(slow);
    let (said, words, code) = stopped(running);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains(&format!("{} senders refused", refused.len())), "{said}");
    assert!(said.contains("secret") && !said.contains(SECRET), "{said}");
    assert!(words.iter().all(|word| !word.contains("intruder")), "{words:?}");
}

/// Who is connected and shows nothing has its place for ten seconds.
#[test]
fn who_takes_too_long_to_say_who_it_is_is_disconnected() {
    let certificates = Certificates::new();
    let path = file(&certificates.folder, "secret", SECRET.as_bytes());
    let secret = ["--secret-file".to_owned(), path];
    let (by_secret, by_secret_at) = listening(&secret);
    let (by_tls, by_tls_at) = listening(&certificates.server_args());
    let mut silent = [connect(&by_secret_at), connect(&by_secret_at), connect(&by_tls_at)];
    silent[1].write_all(b"TIDEMILL/1 secr").expect("the command reads");
    let mut begun = connect(&by_tls_at);
    // How a handshake begins.
    begun.write_all(&[0x16, 0x03, 0x01, 0x02]).expect("the command reads");
    for stream in silent.iter_mut().chain([&mut begun]) {
        // Until it is disconnected; TLS may say why.
        answer(stream);
    }
    for (running, owed) in [(by_secret, "say the secret"), (by_tls, "TLS handshake")] {
        let (said, _, code) = stopped(running);
        assert!(said.contains(owed) && said.contains("within 10s"), "{said}");
        assert!(said.contains("2 senders refused"), "{said}");
        assert_eq!(code, Some(4), "{said}");
    }
}

#[test]
fn clients_with_certificates_are_heard_and_no_others() {
    let certificates = Certificates::new();
    let (running, address) = listening(&certificates.server_args());
    // Its last line has no end, and is one, since the end is signed.
    let mut client = certificates.client(&address, "ca.pem", Some("client"));
    client.write_all(b"friend\nlast").expect("it is let in");
    client.conn.send_close_notify();
    client.flush().expect("it is let in");
    running.wait_for(has_word("last"));
    assert_eq!(answer(&mut client), "");
    let strangers = [
        ("no certificate", "ca.pem", None),
        ("another authority's", "ca.pem", Some("other")),
        ("one that does not know the server", "other-ca.pem", Some("client")),
    ];
    for (what, trusts, shows) in strangers {
        let mut client = certificates.client(&address, trusts, shows);
        let _ = client.write_all(b"intruder\n").and_then(|()| client.flush());
        assert_eq!(answer(&mut client), "", "{what}");
    }
    // Lines as they are, of a client that knows of no TLS.
    send(&address, b"intruder\n");
    let (said, words, code) = stopped(running);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("TLS") && said.contains("4 senders refused"), "{said}");
    assert!(words.iter().all(|word| !word.contains("intruder")), "{words:?}");
}

/// Somebody on the way can end a connection, but not in the peer's name.
#[test]
fn what_is_cut_off_is_no_line() {
    let certificates = Certificates::new();
    let (running, address) = listening(&certificates.server_args());
    let mut client = certificates.client(&address, "ca.pem", Some("client"));
    client.write_all(b"whole\nhal").expect("it is let in");
    client.flush().expect("it is let in");
    running.wait_for(has_word("whole"));
    client.sock.shutdown(Shutdown::Write).expect("it is open");
    // Until it is disconnected.
    answer(&mut client.sock);
    drop(client);
    let mut client = certificates.client(&address, "ca.pem", Some("client"));
    client.write_all(b"next\n").expect("it is let in");
    client.flush().expect("it is let in");
    running.wait_for(has_word("next"));
    let (said, words, code) = stopped(running);
    assert!(said.contains("close_notify"), "{said}");
    assert!(words.iter().all(|word| !word.contains(",hal,")), "{words:?}");
    assert_eq!(code, Some(0), "{said}");
}

/// By TLS with a secret, and told what is safe.
#[test]
fn acknowledgements_go_by_tls() {
    let certificates = Certificates::new();
    let path = file(&certificates.folder, "secret", SECRET.as_bytes());
    let state = certificates.path("state");
    let more = ["--secret-file", &path, "--acknowledge", "--checkpoint", &state];
    let mut args = certificates.server_args();
    args.extend(more.map(str::to_owned));
    let (running, address) = listening(&args);
    let mut client = certificates.client(&address, "ca.pem", Some("client"));
    client.write_all(format!("TIDEMILL/1 secret={SECRET}\n").as_bytes()).expect("it is let in");
    let (mut sent, mut told) = (0, String::new());
    for number in 0..200 {
        let line = format!("{} {number}\n", "word ".repeat(1_000));
        client.write_all(line.as_bytes()).expect("it is let in");
        sent += line.len();
    }
    client.flush().expect("it is let in");
    let mut buffer = [0; 256];
    while told.lines().last() != Some(&sent.to_string()) || !told.ends_with('\n') {
        let count = client.read(&mut buffer).expect("it is told");
        assert!(count > 0, "it ended after {told:?}");
        told.push_str(std::str::from_utf8(&buffer[..count]).expect("numbers"));
    }
    client.conn.send_close_notify();
    client.flush().expect("it is open");
    assert_eq!(answer(&mut client), "");
    let (said, _, code) = stopped(running);
    assert_eq!(code, Some(0), "{said}");
}

/// A server that shows a certificate, sends a line to who connects, and waits for their end.
fn serve(certificates: &Certificates, shows: &str, needs_client: bool) -> String {
    let (chain, key) = certificates.identity(shows);
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("versions");
    let config = match needs_client {
        false => config.with_no_client_auth(),
        true => {
            let roots = Arc::new(certificates.roots("ca.pem"));
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            config.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
    };
    let config = Arc::new(config.with_single_cert(chain, key).expect("a key of ours"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("a port").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let server = ServerConnection::new(config.clone()).expect("a server");
            let mut server = StreamOwned::new(server, stream.expect("a connection"));
            let sent = server.write_all(b"served\n").and_then(|()| server.flush());
            if sent.is_ok() {
                answer(&mut server);
            }
        }
    });
    format!("localhost:{port}")
}

#[test]
fn a_server_has_to_show_a_certificate_that_is_trusted() {
    let certificates = Certificates::new();
    let ca = certificates.path("ca.pem");
    let start = |address: &str, args: &[&str]| {
        let fixed = ["wordcount", "--connect", address, "--tls-ca", &ca];
        Running::start(&[&fixed[..], args, &STREAM[..]].concat())
    };
    let running = start(&serve(&certificates, "server", false), &[]);
    running.wait_for(has_word("served"));
    assert_eq!(stopped(running).2, Some(0));
    let [cert, key] = ["client.pem", "client.key"].map(|name| certificates.path(name));
    let args = ["--tls-cert", &cert, "--tls-key", &key];
    let running = start(&serve(&certificates, "server", true), &args);
    running.wait_for(has_word("served"));
    assert_eq!(stopped(running).2, Some(0));
    // Another authority's, one that is for another name, and none at all.
    let plain = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = plain.local_addr().expect("a port").port();
    std::thread::spawn(move || {
        for stream in plain.incoming() {
            let mut stream = stream.expect("a connection");
            let _ = stream.write_all(b"served\n");
            answer(&mut stream);
        }
    });
    let strangers = [
        serve(&certificates, "other", false),
        serve(&certificates, "elsewhere", false),
        format!("localhost:{port}"),
    ];
    for address in strangers {
        let running = start(&address, &[]);
        let mut said = String::new();
        while !said.contains("TLS") {
            said.push_str(&running.stderr.recv_timeout(PATIENCE).expect("it says what is wrong"));
        }
        let (said, words, _) = stopped(running);
        assert!(words.iter().all(|word| !word.contains("served")), "{address}: {words:?} {said}");
    }
}

/// The library's settings, as the command's.
#[test]
fn settings_that_cannot_be() {
    use tidemill::{Listen, Socket, Tls};

    let certificates = Certificates::new();
    let path = |name: &str| PathBuf::from(certificates.path(name));
    let listen = || Listen::bind(":0").expect("a port");
    let text = |error: tidemill::Error| {
        assert_eq!(error.kind(), tidemill::ErrorKind::Config);
        error.to_string()
    };
    assert!(text(listen().tls(&Tls::new()).err().expect("none")).contains("Tls::identity"));
    let socket = Socket::connect("localhost:1").expect("an address");
    assert!(text(socket.tls(&Tls::new()).err().expect("none")).contains("Tls::authority"));
    let mixed = Tls::new().identity(path("server.pem"), path("other.key")).expect("files");
    text(listen().tls(&mixed).err().expect("another key"));
    for missing in ["missing.pem", "server.key"] {
        let error = text(Tls::new().authority(path(missing)).expect_err("none"));
        assert!(error.contains(missing), "{error}");
    }
    for secret in ["", "two words", &"x".repeat(257)] {
        let error = text(listen().secret(secret).err().expect("no secret"));
        assert!(error.contains("1 to 256"), "{error}");
    }
}
