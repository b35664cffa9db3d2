"""The probe's work."""

import csv
import ctypes
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from jobplane.engine.domain.artifact import ArtifactType
from jobplane.engine.domain.job import Gap, Question
from jobplane.engine.kinds.base import JobContext, Outcome, WorkError
from jobplane.kinds.probe.v1.probe_pb2 import ProbeResult, ProbeSpec
