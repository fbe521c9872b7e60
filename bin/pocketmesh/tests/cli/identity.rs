//! `init` and `id`.

use crate::program::{Place, names};
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[test]
fn init_makes_a_private_folder_and_says_what_the_device_gives() {
    let place = Place::new();
    let ended = place.run(&["init"]);
    for part in ["12D3KooW", "network  main", "gives", "of memory", "next: `pocketmesh daemon`"] {
        assert!(ended.succeeds().contains(part), "{part}");
    }
    assert_eq!(names(&place.home()), ["config.toml", "identity.key", "network", "version"]);
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(place.home()), mode(place.home().join("identity.key"))), (0o700, 0o600));
}

#[test]
fn a_second_init_keeps_the_identity() {
    let place = Place::new();
    let first = place.run(&["init", "--json"]).json();
    let second = place.run(&["init", "--json"]).json();
    assert_eq!((&first["peer"], &first["created"]), (&second["peer"], &true.into()));
    assert_eq!(second["created"], false);
}

#[test]
fn id_shows_who_the_peer_is() {
    let place = Place::new();
    let peer = place.run(&["init", "--json"]).json()["peer"].clone();
    assert_eq!(place.run(&["id"]).succeeds().trim_end(), peer);
    assert_eq!(place.run(&["id", "--json"]).json()["peer"], peer);
}

#[test]
fn id_needs_an_initialised_folder() {
    let place = Place::new();
    place.run(&["id"]).fails(2, &["is not initialised: run `pocketmesh init` first"]);
    assert!(place.names().is_empty());
}

#[test]
fn the_data_dir_flag_wins_over_the_environment() {
    let place = Place::new();
    let other = place.path("other").display().to_string();
    place.run(&["init", "--data-dir", &other]).succeeds();
    assert_eq!(place.names(), ["other"]);
    place.run(&["--data-dir", &other, "id"]).succeeds();
}

#[test]
fn without_either_the_folder_is_in_the_users_data_folder() {
    let place = Place::new();
    let status = place.command(&["init"]).env_remove("POCKETMESH_HOME").output().unwrap().status;
    assert!(status.success() && place.path(".local/share/pocketmesh/identity.key").exists());
    let nowhere = place.command(&["init"]).env_clear().output().unwrap();
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("name a data folder with --data-dir"));
}

#[test]
fn a_folder_of_another_network_is_refused() {
    let place = Place::new();
    place.run(&["init", "--network", "lab"]).succeeds();
    let parts = ["belongs to the network `lab`, not to `main`"];
    place.run(&["init", "--network", "main"]).fails(2, &parts);
    place.run(&["daemon", "--network", "main"]).fails(2, &parts);
}

#[test]
fn a_folder_of_something_else_is_left_alone() {
    let place = Place::new();
    fs::create_dir(place.home()).unwrap();
    fs::write(place.home().join("thesis.tex"), "x").unwrap();
    place.run(&["init"]).fails(2, &["is not empty and not a pocketmesh data folder"]);
    place.run(&["daemon"]).fails(2, &["is not empty and not a pocketmesh data folder"]);
    assert_eq!(names(&place.home()), ["thesis.tex"]);
}

#[test]
fn bad_networks_and_addresses_are_refused_before_anything_is_made() {
    let place = Place::new();
    place.run(&["init", "--network", "Main/Net"]).fails(2, &["`Main/Net` is not a network's name"]);
    place.run(&["daemon", "--listen", "localhost:1"]).fails(2, &["`localhost:1` is not the address of a peer"]);
    place.run(&["daemon", "--bootstrap", "/ip4/1.2.3.4/udp/1"]).fails(2, &["only tcp can be dialled"]);
    assert!(place.names().is_empty());
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let place = Place::new();
    place.run(&["init"]).succeeds();
    let key = place.home().join("identity.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let ended = place.run(&["id"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("can be read by others (mode 644): run `chmod 600"), "{}", ended.stderr);
}

#[test]
fn a_slip_in_the_configuration_is_named_with_its_line() {
    let place = Place::new();
    place.run(&["init"]).succeeds();
    fs::write(place.home().join("config.toml"), "network = \"main\"\nlisten = []\nports = 7\n").unwrap();
    place.run(&["daemon"]).fails(2, &["config.toml: line 3: unknown field `ports`"]);
}
