"""bridge.yml and the environment become one frozen Config, or a list of every mistake."""

from bridge.config.build import Config
from bridge.config.load import ConfigError, load
from bridge.config.reach import warnings
from bridge.config.tree import Problem
from bridge.config.values import Duration, Secret

__all__ = ["Config", "ConfigError", "Duration", "Problem", "Secret", "load", "warnings"]
