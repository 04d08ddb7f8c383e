import tomllib
from importlib.resources import files

import pytest

from mlintern_jupyter.policy.autorun import may_run_unreviewed

SCRIPT = """%%job sft-1 --on local --timeout 2h
# /// script
# dependencies = ["trl==1.16.0", "peft", "datasets"]
# ///
import os
from datasets import load_dataset
from trl import SFTConfig, SFTTrainer

OUT = "runs/sft-1"
data = load_dataset("json", data_files="nano-mcq/train.jsonl", split="train")
args = SFTConfig(
    output_dir=OUT,
    max_steps=int(os.environ.get("MLINTERN_MAX_STEPS", "-1")),
    report_to="none",
    push_to_hub=False,
    disable_tqdm=True,
)
trainer = SFTTrainer(model="nano-mcq/model", args=args, train_dataset=data)
trainer.train()
trainer.save_model(OUT)
with open(os.path.join(OUT, "result.json"), "w") as file:
    file.write('{"model": "runs/sft-1"}')
"""

INSIDE = [
    "1 + 1",
    "import torch\nimport numpy as np\nx = np.linalg.norm(np.ones(3))\nmodel.eval()",
    "from mlintern_jupyter import evaluate, job\nsft = job('sft-1').result()\n"
    "evaluate(sft.model, task='nano/mcq')",
    "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.savefig('plots/loss.png')",
    "%%time\nsum(range(10))",
    SCRIPT,
    "import re\nre.findall(r'\\d+/\\d+', text)\nprompt = '/no_think'",
    "tokenizer.pad_token = tokenizer.eos_token",
    "open('data/x.txt').read()",
    "open('x', mode)",
    "with open('data/x.txt', 'w') as f:\n    f.write('a')",
    "from pathlib import Path\nout = Path('data') / 'clean'\nout.mkdir(parents=True)\n"
    "(out / 'a.txt').write_text('x')",
    "frame.to_csv('x.csv')\nframe.to_csv()\nframe.rename(columns={'a': 'b'}).replace({'a': 1})",
    "import os\nprint(os.environ['HOME'], os.path.exists('x'), os.cpu_count())",
    "class A(B):\n    def __init__(self):\n        super().__init__()\nprint(__name__)",
    "import torch\ntorch.save(model.state_dict(), 'runs/m.pt')",
    "x = getattr(torch, 'float16')\nx.replace('a', 'b')",
    "import os\nfrom pathlib import Path\nOUT = Path(os.environ['MLINTERN_JOB_DIR'])\n"
    "(OUT / 'rows.jsonl').write_text('x')",
    "from pathlib import Path\na, b = Path('x'), Path('y') / 'z.json'\nb.parent.mkdir()\n"
    "b.write_text('x')",
    "import shutil\nshutil.copytree('a', 'b')",
    "from pathlib import Path\nSFTConfig(output_dir=str(Path('a') / 'b'))",
    "import platform\nprint(platform.system())",
    "print('''a story about\n%d things\n!and a bang''')",
    "import importlib.metadata\nimportlib.metadata.version('trl')",
]


@pytest.mark.parametrize("source", INSIDE)
def test_what_stays_inside_runs_alone(source):
    assert may_run_unreviewed(source) == ""


OUTSIDE = {
    "!ls": "not plain Python",
    "x = !ls": "not plain Python",
    "%pip install trl": "not plain Python",
    "%run other.py": "not plain Python",
    "%jobs start sft-1": "not plain Python",
    "%%bash\nrm -rf .": "%%bash",
    "%%writefile x.py\nprint(1)": "%%writefile",
    "import os\nos.system('ls')": "system",
    "import os as o\no.remove('x')": "os.remove",
    "from os import remove as r\nr('x')": "os.remove",
    "import os\ngetattr(os, 'remove')('x')": "used as a value",
    "import os\nf = os\nf.remove('x')": "used as a value",
    "import os\ngetattr(os, 'system')('ls')": "system",
    "import subprocess": "subprocess",
    "import shutil\nshutil.rmtree('x')": "rmtree",
    "import requests": "requests",
    "import huggingface_hub": "huggingface_hub",
    "from urllib import request": "urllib",
    "import some_new_package": "some_new_package",
    "from . import x": "relative",
    "model.push_to_hub('me/model')": "push_to_hub",
    "args = SFTConfig(output_dir='x', push_to_hub=True)": "push_to_hub",
    "args = SFTConfig(output_dir='x', report_to=['wandb'])": "report_to",
    "args = SFTConfig(output_dir='x', trackio_space_id='me/space')": "trackio_space_id",
    "m = AutoModel.from_pretrained('x', trust_remote_code=True)": "trust_remote_code",
    "m = AutoModel.from_pretrained('x', trust_remote_code=flag)": "trust_remote_code",
    "import torch\ntorch.hub.load('a', 'b')": "torch.hub",
    "from torch import hub": "torch.hub",
    "from torch.utils.cpp_extension import load": "cpp_extension",
    "exec('x')": "exec",
    "f = eval": "eval",
    "__import__('os')": "__import__",
    "().__class__.__subclasses__()": "__subclasses__",
    "__builtins__['eval']": "__builtins__",
    "getattr(x, name)()": "cannot be seen",
    "get_ipython().magic('ls')": "get_ipython",
    "import IPython\nIPython.get_ipython()": "IPython",
    "open('/tmp/x', 'w')": "outside",
    "open('../x', 'w')": "outside",
    "open('~/x', mode='a')": "outside",
    "open(path, 'w')": "cannot be seen",
    "open(file=path, mode='w')": "cannot be seen",
    "open('/etc/passwd').read()": "outside",
    "for p in paths:\n    p = 'x'\n    open(p, 'w')": "cannot be seen",
    "def f(p='x'):\n    open(p, 'w')": "cannot be seen",
    "from pathlib import Path\nPath('/etc/profile').write_text('x')": "outside",
    "from pathlib import Path\n(Path('a') / '..' / '..' / 'b').write_text('x')": "outside",
    "from pathlib import Path\n(Path('a') / name).write_text('x')": "cannot be seen",
    "from pathlib import Path\nPath('a').unlink()": "unlink",
    "from pathlib import Path\nPath('a').rename('b')": "may move",
    "from pathlib import Path\nPath(p).open('w')": "cannot be seen",
    "import os\nopen(os.environ['HOME'], 'w')": "cannot be seen",
    "import shutil\nshutil.copytree('a', '/srv/b')": "outside",
    "import shutil\nshutil.move('a', 'b')": "shutil.move",
    "from pathlib import Path\na, b = Path('x'), Path('/y')\nb.write_text('x')": "outside",
    "from pathlib import Path\n*a, b = 'x', 'y', z\nPath(b).write_text('x')": "cannot be seen",
    "from pathlib import Path\na, *b = Path('x'), Path('y')\nb.write_text('x')": "cannot be seen",
    "frame.to_parquet('/data/x.parquet')": "outside",
    "frame.to_csv(f'{folder}/x.csv')": "cannot be seen",
    "args = SFTConfig(output_dir=somewhere)": "cannot be seen",
    "%%job a --on hf:a10g-large --max-usd 6\nprint(1)": "only a job on this machine",
    "%%job a --on=kernel\nprint(1)": "only a job on this machine",
    '%%job a "--on" kernel\nprint(1)': "only a job on this machine",
    "%%job a --gpu 1\nprint(1)": "no option --gpu",
    "%%job a --on local --again\nprint(1)": "--again",
    "%%job a --max-usd=3\nprint(1)": "--max-usd",
    "%%job a\nimport subprocess": "subprocess",
    '%%job a\n# /// script\n# dependencies = ["left-pad"]\n# ///\nprint(1)': "left-pad",
    '%%job a\n# /// script\n# dependencies = ["trl @ git+https://x/y"]\n# ///\nprint(1)': "trl @",
    "%%job a\n# /// script\n# dependencies = [\n# ///\nprint(1)": "header",
    "def": "not plain Python",
    "x = (" + "(" * 500 + ")" * 500 + ")": "not plain Python",
}


@pytest.mark.parametrize("source", OUTSIDE)
def test_everything_else_asks_and_says_why(source):
    reason = may_run_unreviewed(source)
    assert reason
    assert OUTSIDE[source] in reason


def test_the_reason_names_the_line():
    assert "(line 3)" in may_run_unreviewed("import math\n\nimport subprocess")


def test_odd_escapes_in_a_cell_do_not_warn_here():
    assert may_run_unreviewed("x = '\\d'") == ""


def test_the_list_is_data_without_contradictions():
    path = files("mlintern_jupyter.policy").joinpath("autorun.toml")
    rules = tomllib.loads(path.read_text(encoding="utf-8"))
    assert not set(rules["modules"]) & set(rules["partial"])
    assert not {"os", "subprocess", "socket", "shutil", "ctypes", "pickle"} & set(rules["modules"])
    assert not set(rules["writes"]) & set(rules["attributes"])
