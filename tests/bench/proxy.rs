//! nginx as it stands before a server to speak TLS for it: as the operator's manual says, in one process
//! on the server's core. It knows no WebSockets.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::certificates::Pair;
use crate::crowd::PATIENCE;
use crate::machine::Cores;
use crate::process::spawn_on_server_core;

/// What it is called on Debian, and where that puts it.
const PROGRAMS: [&str; 2] = ["/usr/sbin/nginx", "/usr/bin/nginx"];

/// Descriptors, of which each client takes two.
const CONNECTIONS_MAX: usize = 20_000;

/// A running nginx, killed when it is dropped, and its folder with it.
pub(crate) struct Proxy {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Keeps the port from others: it is bound and never listens.
    _port: Socket,
    folder: PathBuf,
}

/// The program, or a line that says what to install.
pub(crate) fn program() -> Result<&'static str, String> {
    let mut programs = PROGRAMS.into_iter();
    programs
        .find(|program| Path::new(program).is_file())
        .ok_or_else(|| "no nginx here; try: apt-get install nginx-light".to_owned())
}

impl Proxy {
    /// Starts one before a server.
    pub(crate) fn start(server: SocketAddr, pair: &Pair, cores: Cores) -> Result<Proxy, String> {
        let words = |error: std::io::Error| format!("nginx: {error}");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = folder.join(format!("bench-nginx-{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(words)?;
        let (port, address) = port().map_err(words)?;
        let file = folder.join("nginx.conf");
        fs::write(&file, configuration(server, address, pair)).map_err(words)?;
        let mut command = Command::new(program()?);
        command
            .args(["-e", "stderr", "-p"])
            .arg(&folder)
            .arg("-c")
            .arg(&file);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut proxy = Proxy {
            child: spawn_on_server_core(command, cores)?,
            address,
            _port: port,
            folder,
        };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            let has_ended = !matches!(proxy.child.try_wait(), Ok(None));
            if has_ended || began.elapsed() > PATIENCE {
                return Err("nginx does not listen".to_owned());
            }
            // Nothing tells when nginx listens. Each look takes time from it.
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(proxy)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A free port, bound as nginx does it: then both may be.
fn port() -> std::io::Result<(Socket, SocketAddr)> {
    let port = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    port.set_reuse_address(true)?;
    port.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    let address = port.local_addr()?.as_socket();
    let address = address.ok_or(std::io::ErrorKind::AddrNotAvailable)?;
    Ok((port, address))
}

fn configuration(server: SocketAddr, address: SocketAddr, pair: &Pair) -> String {
    let folders: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("    {name}_temp_path {name};\n"))
        .concat();
    let (certificate, key) = (pair.certificate.path(), pair.key.path());
    format!(
        "daemon off;
master_process off;
pid nginx.pid;
error_log stderr crit;
worker_rlimit_nofile {CONNECTIONS_MAX};
events {{
    worker_connections {CONNECTIONS_MAX};
}}
http {{
{folders}    access_log off;
    map $http_upgrade $upstream_connection {{
        default upgrade;
        '' '';
    }}
    upstream spectate {{
        server {server};
        keepalive 32;
        keepalive_timeout 30s;
    }}
    server {{
        listen {address} ssl backlog=4096;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
        location / {{
            proxy_pass http://spectate;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $upstream_connection;
            proxy_read_timeout 60s;
        }}
    }}
}}
"
    )
}
