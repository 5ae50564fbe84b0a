from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0001_initial")]

    operations = [
        migrations.AlterField("webhook", "is_slow", models.BooleanField(default=True)),
    ]
