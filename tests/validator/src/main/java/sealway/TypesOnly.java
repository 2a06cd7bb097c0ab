package sealway;

import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.hl7.fhir.r5.elementmodel.Element;
import org.hl7.fhir.r5.elementmodel.JsonParser;
import org.hl7.fhir.r5.model.CanonicalResource;
import org.hl7.fhir.r5.model.CanonicalType;
import org.hl7.fhir.r5.utils.validation.IResourceValidator;
import org.hl7.fhir.r5.utils.validation.IValidatorResourceFetcher;
import org.hl7.fhir.validation.instance.InstanceValidator;

/** Answers a reference such as `Patient/1` with an empty resource of that type, so that target types are checked. */
final class TypesOnly implements IValidatorResourceFetcher {
  private static final Pattern TYPE = Pattern.compile("(?:^|/)([A-Z][A-Za-z]+)/[A-Za-z0-9.-]{1,64}(?:/_history/.*)?$");

  @Override
  public Element fetch(IResourceValidator validator, Object appContext, String url) {
    Matcher matcher = TYPE.matcher(url);
    if (!matcher.find()) {
      return null;
    }
    try {
      var context = ((InstanceValidator) validator).getContext();
      String type = matcher.group(1);
      return new JsonParser(context).parse("{\"resourceType\":\"" + type + "\",\"id\":\"x\"}", type);
    } catch (Exception e) {
      return null;
    }
  }

  @Override
  public boolean resolveURL(IResourceValidator validator, Object appContext, String path, String url, String type,
      boolean canonical, List<CanonicalType> targets) {
    return true;
  }

  @Override
  public byte[] fetchRaw(IResourceValidator validator, String url) {
    return null;
  }

  @Override
  public IValidatorResourceFetcher setLocale(Locale locale) {
    return this;
  }

  @Override
  public CanonicalResource fetchCanonicalResource(IResourceValidator validator, Object appContext, String url) {
    return null;
  }

  @Override
  public boolean fetchesCanonicalResource(IResourceValidator validator, String url) {
    return false;
  }

  @Override
  public Set<String> fetchCanonicalResourceVersions(IResourceValidator validator, Object appContext, String url) {
    return Set.of();
  }
}
