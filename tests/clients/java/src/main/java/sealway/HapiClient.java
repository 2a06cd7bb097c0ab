package sealway;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.rest.api.CacheControlDirective;
import ca.uhn.fhir.rest.api.EncodingEnum;
import ca.uhn.fhir.rest.api.MethodOutcome;
import ca.uhn.fhir.rest.api.SearchStyleEnum;
import ca.uhn.fhir.rest.api.SummaryEnum;
import ca.uhn.fhir.rest.client.api.IGenericClient;
import ca.uhn.fhir.rest.client.api.ServerValidationModeEnum;
import ca.uhn.fhir.rest.client.interceptor.BearerTokenAuthInterceptor;
import ca.uhn.fhir.rest.server.exceptions.PreconditionFailedException;
import ca.uhn.fhir.rest.server.exceptions.ResourceGoneException;
import ca.uhn.fhir.rest.server.exceptions.ResourceNotFoundException;
import java.util.HashSet;
import java.util.Set;
import java.util.UUID;
import org.hl7.fhir.instance.model.api.IBaseBundle;
import org.hl7.fhir.r4.model.BooleanType;
import org.hl7.fhir.r4.model.Bundle;
import org.hl7.fhir.r4.model.CapabilityStatement;
import org.hl7.fhir.r4.model.CodeType;
import org.hl7.fhir.r4.model.Enumerations.AdministrativeGender;
import org.hl7.fhir.r4.model.IdType;
import org.hl7.fhir.r4.model.Observation;
import org.hl7.fhir.r4.model.Parameters;
import org.hl7.fhir.r4.model.Patient;
import org.hl7.fhir.r4.model.StringType;

/** HAPI's client: CRUD, search with paging, history, bundles, conditional writes, both patches, in JSON and XML. */
public final class HapiClient {
  private static int passed;

  private HapiClient() {}

  public static void main(String[] arguments) {
    FhirContext context = FhirContext.forR4();
    context.getRestfulClientFactory().setServerValidationMode(ServerValidationModeEnum.ONCE);
    context.getRestfulClientFactory().setSocketTimeout(30_000);
    for (EncodingEnum encoding : new EncodingEnum[] {null, EncodingEnum.XML}) {
      IGenericClient client = context.newRestfulGenericClient(need("SEALWAY_BASE"));
      client.registerInterceptor(new BearerTokenAuthInterceptor(need("SEALWAY_TOKEN")));
      if (encoding != null) {
        client.setEncoding(encoding);
      }
      new Scenario(client).run();
    }
    System.out.println("HAPI client: " + passed + " steps passed");
  }

  private static final class Scenario {
    private final IGenericClient client;
    private final String mrn = UUID.randomUUID().toString();
    private final String family = "Hapi" + mrn.substring(0, 8);
    private Patient patient;

    Scenario(IGenericClient client) {
      this.client = client;
    }

    void run() {
      step("capability statement", () -> {
        CapabilityStatement statement = client.capabilities().ofType(CapabilityStatement.class).execute();
        same("4.0.1", statement.getFhirVersion().toCode());
      });
      step("create, read, vread, update", this::crud);
      step("a stale If-Match is refused", () -> {
        Patient stale = patient.copy();
        stale.setId(patient.getIdElement().withVersion("1"));
        refused(PreconditionFailedException.class,
            () -> client.update().resource(stale).withAdditionalHeader("If-Match", "W/\"1\"").execute());
      });
      step("FHIRPath patch and JSON patch", this::patches);
      step("conditional create, update, patch", this::conditional);
      step("transaction", this::transaction);
      step("search pages to the end and back", this::pages);
      step("search by POST, includes, chains, summaries", this::searches);
      step("history at three levels", this::history);
      step("operations", this::operations);
      step("conditional delete, delete, then 410", this::deletes);
    }

    private void crud() {
      MethodOutcome created = client.create().resource(fresh(mrn)).execute();
      same(true, created.getCreated());
      IdType id = (IdType) created.getId().toUnqualified();
      same("1", id.getVersionIdPart());
      Patient read = client.read().resource(Patient.class).withId(id.getIdPart()).execute();
      same(family, read.getNameFirstRep().getFamily());
      client.read().resource(Patient.class).withIdAndVersion(id.getIdPart(), "1").execute();
      read.setGender(AdministrativeGender.FEMALE);
      MethodOutcome updated = client.update().resource(read).execute();
      same("2", updated.getId().getVersionIdPart());
      patient = client.read().resource(Patient.class).withId(id.getIdPart()).execute();
      same(AdministrativeGender.FEMALE, patient.getGender());
      refused(ResourceNotFoundException.class,
          () -> client.read().resource(Patient.class).withId(UUID.randomUUID().toString()).execute());
    }

    private void patches() {
      Parameters patch = new Parameters();
      patch.addParameter().setName("operation")
          .addPart(part("type", new CodeType("replace")))
          .addPart(part("path", new StringType("Patient.gender")))
          .addPart(part("value", new CodeType("other")));
      client.patch().withFhirPatch(patch).withId(patient.getIdElement().toUnqualifiedVersionless()).execute();
      String json = "[{\"op\":\"add\",\"path\":\"/active\",\"value\":true}]";
      client.patch().withBody(json).withId(patient.getIdElement().toUnqualifiedVersionless()).execute();
      Patient read = client.read().resource(Patient.class).withId(patient.getIdElement().getIdPart()).execute();
      same(AdministrativeGender.OTHER, read.getGender());
      same(true, read.getActive());
    }

    private void conditional() {
      String query = "Patient?identifier=urn:test:mrn|" + mrn;
      MethodOutcome again = client.create().resource(fresh(mrn)).conditionalByUrl(query).execute();
      same(patient.getIdElement().getIdPart(), again.getId().getIdPart());
      Patient male = fresh(mrn);
      male.setGender(AdministrativeGender.MALE);
      MethodOutcome updated = client.update().resource(male).conditionalByUrl(query).execute();
      same(patient.getIdElement().getIdPart(), updated.getId().getIdPart());
      String json = "[{\"op\":\"replace\",\"path\":\"/gender\",\"value\":\"unknown\"}]";
      client.patch().withBody(json).conditionalByUrl(query).execute();
      Patient read = client.read().resource(Patient.class).withId(patient.getIdElement().getIdPart()).execute();
      same(AdministrativeGender.UNKNOWN, read.getGender());
    }

    private void transaction() {
      Bundle bundle = new Bundle();
      bundle.setType(Bundle.BundleType.TRANSACTION);
      for (int at = 0; at < 10; at++) {
        bundle.addEntry().setFullUrl("urn:uuid:" + UUID.randomUUID())
            .setResource(fresh(UUID.randomUUID().toString()))
            .getRequest().setMethod(Bundle.HTTPVerb.POST).setUrl("Patient");
      }
      Observation observation = new Observation();
      observation.setStatus(Observation.ObservationStatus.FINAL);
      observation.getCode().setText("weight");
      observation.getSubject().setReference("Patient?identifier=urn:test:mrn|" + mrn);
      bundle.addEntry().setResource(observation).getRequest().setMethod(Bundle.HTTPVerb.POST).setUrl("Observation");
      Bundle answer = client.transaction().withBundle(bundle).execute();
      same(11, answer.getEntry().size());
      answer.getEntry().forEach(entry -> same("201", entry.getResponse().getStatus().substring(0, 3)));
    }

    private void pages() {
      Set<String> ids = new HashSet<>();
      int pages = 0;
      Bundle first = search().count(4).execute();
      Bundle page = first;
      while (true) {
        pages += 1;
        page.getEntry().forEach(entry -> ids.add(entry.getResource().getIdElement().getIdPart()));
        if (page.getLink(IBaseBundle.LINK_NEXT) == null) {
          break;
        }
        page = client.loadPage().next(page).execute();
      }
      same(11, ids.size());
      same(3, pages);
      Bundle back = client.loadPage().previous(page).execute();
      same(4, back.getEntry().size());
    }

    private ca.uhn.fhir.rest.gclient.IQuery<Bundle> search() {
      return client.search().forResource(Patient.class).where(Patient.FAMILY.matches().value(family))
          .cacheControl(new CacheControlDirective().setNoCache(true)).returnBundle(Bundle.class);
    }

    private void searches() {
      same(11, search().usingStyle(SearchStyleEnum.POST).count(50).execute().getEntry().size());
      same(11, search().summaryMode(SummaryEnum.COUNT).execute().getTotal());
      Bundle chained = client.search().forResource(Observation.class)
          .where(Observation.PATIENT.hasChainedProperty(Patient.FAMILY.matches().value(family)))
          .include(Observation.INCLUDE_PATIENT).returnBundle(Bundle.class).execute();
      same(2, chained.getEntry().size());
      Bundle summary = search().summaryMode(SummaryEnum.TRUE).count(1).execute();
      same("SUBSETTED", summary.getEntryFirstRep().getResource().getMeta().getTagFirstRep().getCode());
      same(11, search().revInclude(Observation.INCLUDE_PATIENT).count(50).execute().getEntry().size() - 1);
    }

    private void history() {
      IdType id = patient.getIdElement().toUnqualifiedVersionless();
      Bundle ofInstance = client.history().onInstance(id).andReturnBundle(Bundle.class).execute();
      same("1", ofInstance.getEntry().get(ofInstance.getEntry().size() - 1).getResource().getMeta().getVersionId());
      same(Bundle.BundleType.HISTORY, client.history().onType(Patient.class).returnBundle(Bundle.class).count(5).execute().getType());
      same(Bundle.BundleType.HISTORY, client.history().onServer().returnBundle(Bundle.class).count(5).execute().getType());
    }

    private void operations() {
      IdType id = patient.getIdElement().toUnqualifiedVersionless();
      Parameters everything = client.operation().onInstance(id).named("$everything")
          .withNoParameters(Parameters.class).useHttpGet().execute();
      Bundle bundle = (Bundle) everything.getParameterFirstRep().getResource();
      same(id.getIdPart(), bundle.getEntryFirstRep().getResource().getIdElement().getIdPart());
      same(true, client.validate().resource(fresh(mrn)).execute().getOperationOutcome() != null);
      client.meta().add().onResource(id).meta(new org.hl7.fhir.r4.model.Meta().addTag("urn:test", "t", "T")).execute();
      same("t", client.meta().get(org.hl7.fhir.r4.model.Meta.class).fromResource(id).execute().getTagFirstRep().getCode());
    }

    private void deletes() {
      client.delete().resourceConditionalByUrl("Observation?subject=" + patient.getIdElement().toUnqualifiedVersionless()).execute();
      client.delete().resourceById(patient.getIdElement().toUnqualifiedVersionless()).execute();
      refused(ResourceGoneException.class,
          () -> client.read().resource(Patient.class).withId(patient.getIdElement().getIdPart()).execute());
    }

    private Patient fresh(String value) {
      Patient made = new Patient();
      made.addIdentifier().setSystem("urn:test:mrn").setValue(value);
      made.addName().setFamily(family).addGiven("Ada");
      made.addExtension("urn:test:flag", new BooleanType(true));
      return made;
    }
  }

  private static Parameters.ParametersParameterComponent part(String name, org.hl7.fhir.r4.model.Type value) {
    return new Parameters.ParametersParameterComponent().setName(name).setValue(value);
  }

  private static void step(String name, Runnable run) {
    try {
      run.run();
      passed += 1;
    } catch (RuntimeException | AssertionError error) {
      System.err.println("FAILED: " + name);
      error.printStackTrace();
      System.exit(1);
    }
  }

  private static void same(Object expected, Object found) {
    if (!expected.equals(found)) {
      throw new AssertionError("expected " + expected + ", found " + found);
    }
  }

  private static void refused(Class<? extends RuntimeException> expected, Runnable run) {
    try {
      run.run();
    } catch (RuntimeException error) {
      if (expected.isInstance(error)) {
        return;
      }
      throw error;
    }
    throw new AssertionError("expected " + expected.getSimpleName());
  }

  private static String need(String name) {
    String value = System.getenv(name);
    if (value == null) {
      throw new IllegalStateException(name + " is not set; run tests/clients/run.sh");
    }
    return value;
  }
}
