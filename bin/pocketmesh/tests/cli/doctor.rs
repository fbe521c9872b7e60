//! `doctor`: what is there and what is missing, without a daemon.

use crate::program::Place;
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn verdict(answer: &serde_json::Value, what: &str) -> String {
    let findings = answer["findings"].as_array().expect("a list");
    let finding = findings.iter().find(|finding| finding["what"] == what).unwrap_or_else(|| panic!("{what}: {answer}"));
    finding["verdict"].as_str().expect("a verdict").to_owned()
}

#[test]
fn without_a_peer_it_tells_what_one_would_have_and_makes_nothing() {
    let place = Place::new();
    let answer = place.run(&["doctor", "--json"]).json();
    assert_eq!(answer["healthy"], true);
    for (what, expected) in
        [("data folder", "lacks"), ("programs", "ok"), ("daemon", "lacks"), ("cores", "ok"), ("price", "ok")]
    {
        assert_eq!(verdict(&answer, what), expected, "{answer}");
    }
    let text = place.run(&["doctor"]);
    assert!(text.succeeds().contains("is no peer yet") && text.stdout.contains(" init` makes it one"), "{text:?}");
    assert!(place.names().is_empty(), "{:?}", place.names());
}

#[test]
fn it_says_what_seals_the_executors() {
    let place = Place::new();
    let answer = place.run(&["doctor", "--json"]).json();
    let seals = answer["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|finding| finding["what"].as_str().is_some_and(|what| what.starts_with("seal")));
    let seals: Vec<_> = seals.collect();
    assert_eq!(seals.len(), 10, "{answer}");
    for seal in seals {
        assert!(seal["verdict"] == "ok" || seal["remedy"].is_string(), "what is missing has a remedy: {seal}");
    }
}

#[test]
fn a_peer_without_the_second_wall_is_told_so() {
    let place = Place::new();
    place.run(&["init"]).succeeds();
    let config = place.home().join("config.toml");
    let text = fs::read_to_string(&config).unwrap().replace("# executor = \"sealed\"", "executor = \"in-process\"");
    fs::write(&config, text).unwrap();
    let answer = place.run(&["doctor", "--json"]).json();
    assert_eq!((verdict(&answer, "data folder"), verdict(&answer, "seal")), ("ok".into(), "lacks".into()));
}

#[test]
fn a_folder_that_others_may_enter_is_an_essential_lack() {
    let place = Place::new();
    place.run(&["init"]).succeeds();
    fs::set_permissions(place.home(), fs::Permissions::from_mode(0o755)).unwrap();
    let ended = place.run(&["doctor"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stdout.contains("FAILS  data folder") && ended.stdout.contains("chmod 700"), "{}", ended.stdout);
}
