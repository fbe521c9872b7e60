//! The grid keeps its gate, and a mistake that somebody could make does not.

use pocketmesh_protocol::verification::sizing::Ppm;
use pocketmesh_sim::grid::{
    self, Plant, Size,
    cell::{Attacker, Cell, all},
    row::Row,
    table,
};

const SIZE: Size = Size { windows: 1_000, resamples: 200 };

fn cells() -> Vec<Cell> {
    all(&[Ppm(50_000), Ppm(200_000)]).into_iter().filter(|cell| cell.target().is_some()).collect()
}

#[test]
fn no_attacker_gets_more_accepted_than_was_promised_and_it_costs_what_was_said() {
    let rows = grid::run(&cells(), SIZE, 1, 2, None);
    let broken: Vec<String> = rows.iter().flat_map(Row::broken).collect();
    assert!(broken.is_empty(), "{broken:#?}\n{}", table::page(&rows, SIZE, 1));
    let most = rows.iter().filter_map(|row| row.found.as_ref()).map(|found| found.wrong).max();
    assert!(most > Some(0), "cheats that are not exposed do happen");
}

#[test]
fn a_planted_mistake_breaks_the_gate() {
    let is_worst = |cell: &Cell| cell.attacker == Attacker::Whitewasher && cell.n() == 1_000;
    let cells: Vec<Cell> = cells().into_iter().filter(is_worst).collect();
    for plant in Plant::ALL {
        let rows = grid::run(&cells, SIZE, 1, 2, Some(plant));
        let broken: Vec<String> = rows.iter().flat_map(Row::broken).collect();
        assert!(!broken.is_empty(), "{plant:?} was not found");
    }
}

#[test]
fn threads_change_nothing() {
    let cells: Vec<Cell> = cells().into_iter().filter(|cell| cell.n() == 100).collect();
    let found = |threads| grid::row::json(&grid::run(&cells, SIZE, 7, threads, None)).expect("rows are plain");
    assert_eq!(found(1), found(2));
}
