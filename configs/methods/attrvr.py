"""AttrVR: the best of many texts a class, with a frame, CLIP ViT-B/16, 16 images a class.

    python -m vp_jax.train --config=configs/methods/attrvr.py --workdir=runs/attrvr \
        --config.head.descriptions=my_texts.json

Cai et al., "Attribute-based Visual Reprogramming for Vision-Language Models" (ICLR 2025, arXiv
2501.13982): a class has 20 texts that describe it and 20 that set it apart, which a language model
wrote, and its score is the mean of the best three of each kind. The file is yours:

    {"tabby": {"descriptive": ["a striped cat", ...], "distinctive": ["...", ...]}, ...}

The image has 192 of 224 pixels; around it is a frame, sigmoid(theta), grey at first. SGD with
learning rate 40, momentum 0.9 and a cosine, 200 epochs of batch 64, random crops, mirrored. The
released code chooses the best epoch on the test data; here it is chosen on a tenth of the training
data. Its crops keep at least 8 % of the image's area. Not yet measured with this code.
"""

from vp_jax import config as base


def get_config():
    """The authors' settings; the texts are to be given."""
    config = base.default()
    config.backbone.name = "clip_vit_b16"
    config.head.name = "descriptions"
    config.head.descriptions = "descriptions.json"
    config.prompt = "shrink(192) | frame(16) | normalize"
    config.task.shots = 16
    config.augment.flip = True
    config.augment.crop_scale = 0.08
    config.batch_size = 64
    config.epochs = 200
    config.schedule.warmup_steps = 0
    return config
