"""Ask a checkpoint on vLLM, in this process: `python ask_vllm.py FOLDER plug-in|trusted CHATS.json`.

Prints one line: for each chat the ids of the prompt and of the answer.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main() -> None:
    folder, route, chats = sys.argv[1], sys.argv[2], json.loads(Path(sys.argv[3]).read_text())
    os.environ |= {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
    }
    if route == "trusted":
        os.environ["VLLM_PLUGINS"] = ""
    from vllm import LLM, SamplingParams

    llm = LLM(
        model=folder,
        dtype="float32",
        enforce_eager=True,
        max_model_len=1024,
        max_num_seqs=8,
        max_num_batched_tokens=1024,
        distributed_executor_backend="uni",
        trust_remote_code=route == "trusted",
        model_impl="transformers" if route == "trusted" else "auto",
        limit_mm_per_prompt={"image": 2, "video": 2},
    )
    greedy = SamplingParams(temperature=0.0, max_tokens=24, min_tokens=24)
    answers = llm.chat(chats, greedy, use_tqdm=False)
    told = [{"prompt": a.prompt_token_ids, "said": list(a.outputs[0].token_ids)} for a in answers]
    sys.stdout.write("\n" + json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
