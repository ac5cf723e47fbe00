//! Checkpoints from the hub, of which a server on this machine takes the part.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use concord_model::checkpoint::{Checkpoint, CheckpointError};
use concord_model::hub::{HubError, HubOptions, RepoId, fetch, fetch_without_weights};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A hub with the one repository `test/colbert`.
struct Hub {
    endpoint: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    fn serve(files: Vec<(&'static str, Vec<u8>)>) -> Hub {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        let files: HashMap<_, _> = files.into_iter().collect();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &files, &log);
            }
        });
        Hub { endpoint, requests }
    }

    fn options(&self, cache: &Path) -> HubOptions {
        HubOptions {
            endpoint: self.endpoint.clone(),
            ..HubOptions::new(cache)
        }
    }

    /// The paths asked for since the last call.
    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

fn answer(stream: TcpStream, files: &HashMap<&str, Vec<u8>>, log: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap_or(0) > 2 {
        head.push_str(&std::mem::take(&mut line));
    }
    let Some(path) = head.split(' ').nth(1) else {
        return;
    };
    log.lock().unwrap().push(path.to_owned());
    let resolved = path.strip_prefix(&format!("/test/colbert/resolve/{COMMIT}/"));
    let (status, headers, body) = if path == "/api/models/test/colbert/revision/main" {
        let names = files
            .keys()
            .map(|name| format!("{{\"rfilename\":\"{name}\"}}"));
        let names = names.collect::<Vec<_>>().join(",");
        let body = format!("{{\"sha\":\"{COMMIT}\",\"siblings\":[{names}]}}");
        ("200 OK", String::new(), body.into_bytes())
    } else if let Some((name, content)) = resolved.and_then(|name| files.get_key_value(name)) {
        let whole = content.len();
        let one_byte = head.to_lowercase().contains("range: bytes=0-0");
        let sent = if one_byte {
            &content[..whole.min(1)]
        } else {
            content
        };
        let last = sent.len().saturating_sub(1);
        let headers = format!(
            "ETag: \"etag-of-{name}\"\r\nX-Repo-Commit: {COMMIT}\r\n\
             Content-Range: bytes 0-{last}/{whole}\r\n"
        );
        ("206 Partial Content", headers, sent.to_vec())
    } else {
        ("404 Not Found", String::new(), Vec::new())
    };
    let length = body.len();
    let mut stream = reader.into_inner();
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let _ = stream.write_all(&body);
}

fn golden() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/checkpoint")
}

fn golden_files() -> Vec<(&'static str, Vec<u8>)> {
    let names = [
        "config.json",
        "artifact.metadata",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "model.safetensors",
    ];
    let mut files: Vec<_> = names
        .iter()
        .map(|name| (*name, std::fs::read(golden().join(name)).unwrap()))
        .collect();
    files.push(("pytorch_model.bin", vec![0]));
    files.push(("README.md", vec![0]));
    files
}

fn repo() -> RepoId {
    RepoId::parse("test/colbert").unwrap()
}

#[test]
fn a_repository_is_fetched_once_and_loaded_from_the_cache_afterwards() {
    let hub = Hub::serve(golden_files());
    let cache = tempfile::tempdir().unwrap();
    let options = hub.options(cache.path());
    let local = Checkpoint::load(golden().to_str().unwrap(), &options).unwrap();
    assert!(hub.requests().is_empty());

    let fetched = Checkpoint::load("test/colbert", &options).unwrap();
    assert_eq!(fetched.hash(), local.hash());
    assert_eq!(fetched.name(), "test/colbert");
    let requests = hub.requests();
    assert!(
        !requests
            .iter()
            .any(|path| path.contains("README") || path.contains(".bin"))
    );
    assert!(
        requests.last().unwrap().ends_with("model.safetensors"),
        "{requests:?}"
    );

    Checkpoint::load("test/colbert", &options).unwrap();
    assert_eq!(hub.requests(), ["/api/models/test/colbert/revision/main"]);

    let offline = HubOptions {
        offline: true,
        ..options.clone()
    };
    assert_eq!(
        Checkpoint::load("test/colbert", &offline).unwrap().hash(),
        fetched.hash()
    );
    assert!(hub.requests().is_empty());

    let unreachable = HubOptions {
        endpoint: nowhere(),
        ..options
    };
    assert_eq!(
        Checkpoint::load("test/colbert", &unreachable)
            .unwrap()
            .hash(),
        fetched.hash()
    );
}

/// An address at which nobody listens.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn what_is_neither_cached_nor_reachable_is_an_error_that_says_so() {
    let cache = tempfile::tempdir().unwrap();
    let mut options = HubOptions::new(cache.path());
    options.endpoint = nowhere();
    let error = fetch(&repo(), &options).unwrap_err();
    assert!(matches!(error, HubError::Unreachable { .. }), "{error}");
    options.offline = true;
    let error = Checkpoint::load("test/colbert", &options).unwrap_err();
    assert!(
        matches!(error, CheckpointError::Hub(HubError::NotCached { .. })),
        "{error}"
    );
    let message = error.to_string();
    assert!(
        message.contains("no checkpoint folder of that name"),
        "{message}"
    );
    assert!(message.contains("run once online"), "{message}");
}

#[test]
fn a_repository_that_does_not_exist_is_told_from_a_hub_that_cannot_be_reached() {
    let hub = Hub::serve(golden_files());
    let cache = tempfile::tempdir().unwrap();
    let other = RepoId::parse("test/other").unwrap();
    let error = fetch(&other, &hub.options(cache.path())).unwrap_err();
    assert!(
        matches!(error, HubError::NoRepository { status: 404, .. }),
        "{error}"
    );
}

#[test]
fn a_repository_without_weights_is_no_checkpoint_but_may_be_a_base_model() {
    let mut files = golden_files();
    files.retain(|(name, _)| !name.ends_with("safetensors") && !name.ends_with("bin"));
    let hub = Hub::serve(files);
    let cache = tempfile::tempdir().unwrap();
    let options = hub.options(cache.path());
    let error = fetch(&repo(), &options).unwrap_err();
    assert!(matches!(error, HubError::MissingFile { .. }), "{error}");
    let folder = fetch_without_weights(&repo(), &options).unwrap();
    assert!(folder.join("tokenizer.json").exists());
    // The snapshot without weights does not pass for a whole one.
    let offline = HubOptions {
        offline: true,
        ..options
    };
    assert!(matches!(
        fetch(&repo(), &offline),
        Err(HubError::NotCached { .. })
    ));
    assert_eq!(fetch_without_weights(&repo(), &offline).unwrap(), folder);
}

#[test]
fn an_interrupted_fetch_is_taken_up_again() {
    let hub = Hub::serve(golden_files());
    let cache = tempfile::tempdir().unwrap();
    let options = hub.options(cache.path());
    let folder = fetch(&repo(), &options).unwrap();
    std::fs::remove_file(folder.join("model.safetensors")).unwrap();
    hub.requests();
    let offline = HubOptions {
        offline: true,
        ..options.clone()
    };
    assert!(matches!(
        fetch(&repo(), &offline),
        Err(HubError::NotCached { .. })
    ));
    assert_eq!(fetch(&repo(), &options).unwrap(), folder);
    let requests = hub.requests();
    let again = requests[1..]
        .iter()
        .all(|path| path.ends_with("model.safetensors"));
    assert!(
        again && folder.join("model.safetensors").exists(),
        "{requests:?}"
    );
}
