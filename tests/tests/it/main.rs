//! Fitness rules for the workspace (DESIGN: levels, purity, file size).

mod architecture;
