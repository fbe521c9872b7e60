//! The bootstrap list without a daemon: the configuration is edited.

use crate::program::Place;
use std::fs;

#[test]
fn the_list_is_edited_and_comments_stay() {
    let place = Place::new();
    place.run(&["init"]).succeeds();
    let config = place.home().join("config.toml");
    let before = fs::read_to_string(&config).unwrap();
    assert_eq!(place.run(&["bootstrap", "list"]).succeeds(), "");
    place.run(&["bootstrap", "add", "/ip4/10.0.0.1/tcp/4001"]).succeeds();
    let two = place.run(&["bootstrap", "add", "/dns4/example.org/tcp/4001", "--json"]).json();
    assert_eq!(two["addresses"], serde_json::json!(["/ip4/10.0.0.1/tcp/4001", "/dns4/example.org/tcp/4001"]));
    assert_eq!(place.run(&["bootstrap", "rm", "/ip4/10.0.0.1/tcp/4001"]).succeeds(), "/dns4/example.org/tcp/4001\n");
    place.run(&["bootstrap", "rm", "/dns4/example.org/tcp/4001"]).succeeds();
    assert_eq!(fs::read_to_string(&config).unwrap(), before);
}

#[test]
fn what_is_no_address_or_not_there_is_refused() {
    let place = Place::new();
    place.run(&["init"]).succeeds();
    place.run(&["bootstrap", "add", "example.org"]).fails(2, &["`example.org` is not the address of a peer"]);
    place.run(&["bootstrap", "rm", "/ip4/1.1.1.1/tcp/1"]).fails(2, &["is not in the bootstrap list"]);
}

#[test]
fn an_uninitialised_folder_has_no_list() {
    let place = Place::new();
    for args in [["bootstrap", "list"].as_slice(), &["bootstrap", "add", "/ip4/1.1.1.1/tcp/1"]] {
        place.run(args).fails(2, &["run `pocketmesh init` first"]);
    }
    assert!(place.names().is_empty());
}
