#!/usr/bin/env bash
# The whole flow as a script. Works in a folder of its own below the current one; `DATA` may name a file or URL.
#
#   bash examples/bank-marketing/run.sh            leaves the endpoint and the local service running
#   CLEANUP=1 bash examples/bank-marketing/run.sh  ends them
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
DATA=${DATA:-https://automlsamplenotebookdata.blob.core.windows.net/automl-sample-notebook-data/bankmarketing_train.csv}
TIMEOUT=${TIMEOUT:-60s}
case $DATA in http://*|https://*|/*) ;; *) DATA=$PWD/$DATA ;; esac
mkdir -p bank-marketing && cd bank-marketing
printf 'workspace = "local"\n\n[local]\npath = ".opsml"\n' > opsml.toml

if [ "${CLEANUP:-}" ]; then
  trap 'opsml local down --yes' EXIT
fi

opsml data register bank-marketing "$DATA" --target-column y
opsml train automl --data bank-marketing --target-column y --timeout "$TIMEOUT" --test-size 0.2
opsml deploy --endpoint bank-marketing
opsml insights enable bank-marketing
opsml logs bank-marketing --tail 5
opsml swagger bank-marketing --save swagger.json
opsml swagger bank-marketing --check
opsml score bank-marketing --sample 5 --proba

SCORING_URI=$(opsml endpoints show bank-marketing -o tsv --query scoring_uri)
SCORING_KEY=$(opsml endpoints keys bank-marketing --reveal -o tsv --query primary)
export SCORING_URI SCORING_KEY
python3 "$here/consume.py" "$here/request.json"

opsml bench bank-marketing --rate 50 --duration 10s --slo 'p95<250ms,errors<1%'
opsml insights show bank-marketing
opsml pipeline publish "$here/pipeline.yml" --name bank-marketing-retrain
opsml pipeline trigger bank-marketing-retrain --set data=azureml:bank-marketing@latest
