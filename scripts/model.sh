#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# model.sh: explores the Promela model of the state machine exhaustively, with every
# seeded defect (spin). Its memory ordering is litmus.sh's.
# Ends with the sum: "N passed, N failed, N skipped".

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
exec "$top/Documentation/models/check.sh"
