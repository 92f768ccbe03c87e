"""Models that are told what to say are not trained here."""

from litefocus_jax.models.model_type import ModelType


def refuse_speech(model_type: ModelType) -> None:
    """Refuse a model for speech, whose sounds would need a transcription each, beside their caption.

    Args:
        model_type: of the model.

    Raises:
        ValueError: when it is one.
    """
    if model_type.speaks:
        raise ValueError(
            f"the model is {model_type.described}, which is not trained here: what is said in each sound would have to "
            "be given beside its caption; expected a model that does not speak, such as cvssp/audioldm2"
        )
