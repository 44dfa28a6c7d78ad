"""The baseline FT: all weights of CLIP's image tower and a head, CIFAR100.

    python -m vp_jax.train --config=configs/finetune.py --workdir=runs/finetune
    python -m vp_jax.train --config=configs/finetune.py --workdir=runs/finetune_rn50 \
        --config.backbone.name=resnet50 --config.head.name=linear
    python -m vp_jax.train --config=configs/finetune.py --workdir=runs/finetune_and_prompt \
        --config.tune=prompt,head,backbone --config.optimizer.learning_rates.prompt=0.1

The head of a CLIP, `text` or `linear`, starts from the text features of the class names, so that
training starts from the zero-shot model; a vision model gets a new linear layer, which
`--config.head.from_run` can take from a finished linear probe. Every part has its own learning
rate; training images are randomly cropped and mirrored. Batch normalisation keeps the statistics it
came with.

A checkpoint holds the image tower with AdamW's two moments: about 1 GB for ViT-B/32.

Bahng et al. 2022 (arXiv 2203.17274) call this FT and do not give its settings; these are usual ones
for fine-tuning CLIP. Not yet measured with this code.
"""

from vp_jax import config as base


def get_config():
    """Ten epochs of AdamW."""
    config = base.default()
    config.tune = ("backbone", "head")
    config.augment.flip = True
    config.augment.crop_scale = 0.5
    config.batch_size = 128
    config.epochs = 10
    config.optimizer.name = "adamw"
    config.optimizer.learning_rate = 1e-5
    config.optimizer.learning_rates.head = 1e-4
    config.optimizer.weight_decay = 0.1
    config.schedule.warmup_steps = 500
    return config
