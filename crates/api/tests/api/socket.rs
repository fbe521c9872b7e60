//! The socket belongs to its owner, and to one daemon at a time.

use crate::fake::Running;
use pocketmesh_api::*;
use std::os::unix::fs::PermissionsExt;

#[tokio::test]
async fn only_the_owner_may_open_the_socket() {
    let running = Running::start();
    let mode = std::fs::metadata(&running.socket).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_second_daemon_is_refused_and_the_first_one_stays() {
    let running = Running::start();
    let refused = Listener::bind(&running.socket).expect_err("in use");
    assert!(matches!(refused, BindError::InUse(_)), "{refused}");
    running.client.status().await.expect("still there");
}

#[tokio::test]
async fn the_socket_of_a_dead_daemon_is_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("api.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("bound"));
    let absent = Client::new(&path, folder.path()).status().await.expect_err("dead");
    assert!(matches!(absent, ClientError::NoDaemon(_)), "{absent:?}");
    Listener::bind(&path).expect("replaced");
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_is_refused_in_words() {
    let path = std::env::temp_dir().join("x".repeat(120));
    let refused = Listener::bind(path).expect_err("too long");
    assert!(refused.to_string().contains("choose a shorter data folder"), "{refused}");
}
