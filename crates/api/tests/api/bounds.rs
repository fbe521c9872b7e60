//! Strays and broken callers: each gets an answer or is cut off, and the daemon serves the next one.

use crate::fake::Running;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Sends raw bytes and reads until the server closes.
async fn raw(running: &Running, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(&running.socket).await.expect("connected");
    // The server may have closed already: that is an answer too.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(path: &str, body: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn garbage_is_answered_and_the_next_caller_served() {
    let running = Running::start();
    let noise: Vec<u8> = (0..40_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for garbage in
        [b"\x16\x03\x01\x02\x00\x01\x00".as_slice(), b"GET\r\n\r\n", b"GET /v1/status HTTP/9.9\r\n\r\n", &noise]
    {
        let answer = raw(&running, garbage).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    running.client.status().await.expect("unharmed");
}

#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    let running = Running::start();
    let endless = [b"GET /v1/status HTTP/1.1\r\nX: ".as_slice(), &vec![b'a'; 1 << 20]].concat();
    let answer = raw(&running, &endless).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    running.client.status().await.expect("unharmed");
}

#[tokio::test]
async fn an_oversized_request_is_refused_by_its_size() {
    let running = Running::start();
    let body = format!("{{\"address\":\"{}\"}}", "a".repeat(5 << 20));
    let answer = raw(&running, &post("/v1/peers/connect", &body)).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");
    let refused = running.client.connect(&"a".repeat(5 << 20)).await.expect_err("too large");
    assert!(refused.to_string().contains("larger than"), "{refused}");
}

#[tokio::test]
async fn malformed_json_is_explained() {
    let running = Running::start();
    let bodies = ["", "{", "[]", "{\"address\":7}", "{\"address\":\"/ip4/1.2.3.4\",\"more\":1}"];
    for body in bodies {
        let answer = raw(&running, &post("/v1/peers/connect", body)).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{body}: {answer}");
        assert!(answer.contains(r#"{"error":{"code":"invalid","message":"#), "{answer}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(raw(&running, &post("/v1/jobs", &deep)).await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn unknown_requests_are_not_found() {
    let running = Running::start();
    for head in ["GET /", "GET /v2/status", "DELETE /v1/jobs", "POST /v1/status", "GET /v1/jobs/020202/secrets"] {
        let answer = raw(&running, format!("{head} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{head}: {answer}");
        assert!(answer.contains(r#""code":"not_found""#), "{answer}");
    }
}

#[tokio::test]
async fn a_caller_who_leaves_in_the_middle_harms_nobody() {
    let running = Running::start();
    for _ in 0..300 {
        let mut stream = UnixStream::connect(&running.socket).await.expect("connected");
        stream
            .write_all(b"POST /v1/blobs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf")
            .await
            .expect("sent");
    }
    running.client.status().await.expect("unharmed");
    assert!(running.control.blobs.lock().expect("not poisoned").is_empty());
}
